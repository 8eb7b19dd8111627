"""Measures that claims name: every public function of the modules here, as module.function.

A measure takes a run and keyword arguments and returns `Measured`. It measures whatever run it is given, a negative
control too: what cannot be measured there is NaN, which lies in no band.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable

from superpos.claims.measured import Measured
from superpos.families.tms import measures

_SHARED = "table"


def find(name: str) -> Callable[..., Measured]:
    """The measure of a name; KeyError says which there are."""
    module, _, function = name.partition(".")
    if module not in _modules():
        raise KeyError(f"there is no module {module!r}; there are {', '.join(_modules())}")
    here = _functions(module)
    if function not in here:
        raise KeyError(f"there is no function {function!r}; there are {', '.join(here)}")
    return here[function]


def every() -> dict[str, Callable[..., Measured]]:
    """All measures by name."""
    return {f"{module}.{name}": found for module in _modules() for name, found in _functions(module).items()}


def _modules() -> list[str]:
    return sorted({_SHARED, *(info.name for info in pkgutil.iter_modules(measures.__path__))})


def _functions(module: str) -> dict[str, Callable[..., Measured]]:
    home = "superpos.claims" if module == _SHARED else measures.__name__
    loaded = importlib.import_module(f"{home}.{module}")
    return {
        name: value
        for name, value in vars(loaded).items()
        if inspect.isfunction(value) and value.__module__ == loaded.__name__ and not name.startswith("_")
    }
