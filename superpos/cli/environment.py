"""What a command does not take from the environment."""

from __future__ import annotations

import os
from typing import Final

_KEPT: Final = ("NUMBA_DISABLE_JIT",)  # where it is set, the engine says what that means


def settle() -> None:
    """Forget the switches of numba, before it is imported.

    Compiled kernels are kept on disk for all later commands, so that they must not follow from variables of
    one; and numba does not start where a number is none, such as NUMBA_NUM_THREADS=0.
    """
    for name in [name for name in os.environ if name.startswith("NUMBA_") and name not in _KEPT]:
        del os.environ[name]
