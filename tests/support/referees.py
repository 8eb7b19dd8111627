"""Other packages that compute the same stand in environments of their own, which SUPERPOS_REFEREES
names.
"""

from __future__ import annotations

import os
import subprocess
import sys
from functools import cache
from importlib.util import find_spec


@cache
def python_with(*packages: str) -> str | None:
    """This Python, or one of those that SUPERPOS_REFEREES names, in which all of some packages are;
    else None.
    """
    if all(find_spec(name) for name in packages):
        return sys.executable
    looks = f"from importlib.util import find_spec; assert all(map(find_spec, {packages!r}))"
    for python in filter(None, os.environ.get("SUPERPOS_REFEREES", "").split(os.pathsep)):
        if not subprocess.run([python, "-c", looks], capture_output=True, check=False).returncode:
            return python
    return None
