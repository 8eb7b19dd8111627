"""Where the compiled kernels of this engine are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from superpos.engines.compiled.cache import KernelCache
from superpos.families.tms import fused, purposes
from superpos.families.tms.data import sparse

_NUMBERS = (fused, purposes, sparse)  # modules whose constants the kernels hold
_MORE = tuple(Path(str(module.__file__)) for module in _NUMBERS)
KERNELS: Final = KernelCache(Path(__file__).parent, _MORE)
