"""The command line in a process that knows one more family: `python tests/support/launcher.py
MODULE ARG...`.

MODULE is imported first and registers the family. It is found beside this file or on PYTHONPATH.
"""

from __future__ import annotations

import importlib
import sys


def command(module: str, *arguments: str) -> list[str]:
    """What starts such a process, for `subprocess`."""
    return [sys.executable, __file__, module, *arguments]


def _main(module: str, *arguments: str) -> None:
    importlib.import_module(module)
    from superpos.cli import main

    sys.argv = ["superpos", *arguments]
    main()


if __name__ == "__main__":
    _main(*sys.argv[1:])
