"""`python -m superpos` is `superpos`: modules in the folder that it is called in are none of its
own.
"""

import sys
from contextlib import suppress
from pathlib import Path

with suppress(FileNotFoundError):  # the folder may be gone
    here = Path.cwd()
    # `python -m` puts it first, where a user's random.py would stand for Python's.
    if (
        sys.path[:1] == [str(here)]
        and not sys.flags.safe_path
        and here != Path(__file__).parents[1]
    ):
        del sys.path[0]

from superpos.cli import main

main()
