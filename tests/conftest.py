"""Set before torch is imported, and inherited by the processes that tests start."""

from __future__ import annotations

import os

# The tensors of these tests are small: waiting for each other's threads would take most of the time.
os.environ.setdefault("OMP_NUM_THREADS", "1")
