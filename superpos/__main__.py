"""`python -m superpos` is `superpos`."""

from superpos.cli import main

main()
