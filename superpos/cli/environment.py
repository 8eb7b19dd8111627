"""What a command does not take from the environment."""

from __future__ import annotations

import os
from typing import Final

_KEPT: Final = ("NUMBA_DISABLE_JIT",)  # where it is set, the engine says what that means


def settle() -> None:
    """Forget the switches of other packages, before they are imported.

    Compiled kernels are kept on disk for all later commands, so that they must not follow from
    variables of one; and numba does not start where a number is none, such as NUMBA_NUM_THREADS=0.
    Where colorama is installed numba would end each command on a terminal with an escape sequence.
    Parts of scipy do not start where SOURCE_DATE_EPOCH is no number; nothing that a command writes
    has its date from it.
    """
    for name in [name for name in os.environ if name.startswith("NUMBA_") and name not in _KEPT]:
        del os.environ[name]
    os.environ["NUMBA_DISABLE_ERROR_MESSAGE_HIGHLIGHTING"] = "1"
    os.environ.pop("SOURCE_DATE_EPOCH", None)
