"""`python -m superpos.bench`: as `superpos bench`, where only torch, numpy and the engine are
installed.
"""

from __future__ import annotations

import argparse
import sys

from superpos.bench import main
from superpos.errors import SuperposError
from superpos.family import DEFAULT


def _note(text: str) -> None:
    sys.stderr.write(f"superpos: {text}\n")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m superpos.bench", description=main.__doc__)
    parser.add_argument(
        "--case", action="append", default=[], metavar="N/M", help="Only this shape; repeatable."
    )
    parser.add_argument(
        "--repeat", type=int, default=1, metavar="RUNS", help="Runs; medians over them are shown."
    )
    parser.add_argument(
        "--scaling", action="store_true", help="How cost grows with models, n, m, batch and S."
    )
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    parser.add_argument("--json", action="store_true", help="Print JSON.")
    parser.add_argument("--family", default=DEFAULT, metavar="NAME", help="Kind of models.")
    return parser.parse_args()


if __name__ == "__main__":
    options = _arguments()
    try:
        text = main(
            options.case,
            options.repeat,
            options.scaling,
            options.device,
            options.json,
            _note,
            options.family,
        )
    except SuperposError as error:
        _note(str(error))
        sys.exit(error.exit_code)
    sys.stdout.write(f"{text}\n")
