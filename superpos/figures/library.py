"""Imports matplotlib whatever the environment says of it: figures are files, and need no window."""

from __future__ import annotations

import locale
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from superpos.errors import SuperposError

_BACKEND = "MPLBACKEND"


def open_matplotlib() -> None:
    """Import matplotlib, which refuses to be imported where MPLBACKEND names a backend that is not
    here.

    So it is in what a notebook starts. Where the variable names one that is here, it counts, as
    ever.

    Raises:
        SuperposError: a file of the user's settings cannot be read.
    """
    if "matplotlib" in sys.modules:
        return
    with without(_BACKEND):
        try:
            import matplotlib as mpl
        except (ValueError, OSError, locale.Error) as error:
            raise SuperposError(
                f"matplotlib cannot read its settings, the file matplotlibrc: {error}"
            ) from error
    if backend := os.environ.get(_BACKEND):
        with suppress(ValueError):
            mpl.rcParams["backend"] = backend


@contextmanager
def without(variable: str) -> Iterator[None]:
    """The environment without a variable, for as long as the `with` block lasts."""
    value = os.environ.pop(variable, None)
    try:
        yield
    finally:
        if value is not None:
            os.environ[variable] = value
