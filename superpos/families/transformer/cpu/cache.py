"""Where the compiled kernels of this engine are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from superpos.engines.compiled.cache import KernelCache

KERNELS: Final = KernelCache(Path(__file__).parent)
