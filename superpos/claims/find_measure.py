"""Measures that claims name: every public function of a family's measures and of `claims.table`, as module.function.

A measure takes a run and keyword arguments and returns `Measured`. It measures whatever run it is given. What cannot be
measured is NaN, which lies in no band; a claim whose negative control is NaN fails, unless it says why.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable

from superpos.claims import table
from superpos.claims.measured import Measured
from superpos.family import Family

Measure = Callable[..., Measured]


def find(family: Family, name: str) -> Measure:
    """The measure of a name; KeyError says which there are."""
    modules = _modules(family)
    module, _, function = name.partition(".")
    if module not in modules:
        raise KeyError(f"there is no module {module!r}; there are {', '.join(sorted(modules))}")
    here = _functions(modules[module])
    if function not in here:
        raise KeyError(f"there is no function {function!r}; there are {', '.join(here)}")
    return here[function]


def every(family: Family) -> dict[str, Measure]:
    """All measures of a family by name."""
    return {
        f"{module}.{name}": measure
        for module, path in sorted(_modules(family).items())
        for name, measure in _functions(path).items()
    }


def _modules(family: Family) -> dict[str, str]:
    """The modules that hold measures, by the names that claims use."""
    shared = {"table": table.__name__}
    package = family.shows.measures
    if package is None:
        return shared
    folder = importlib.import_module(package).__path__
    return {info.name: f"{package}.{info.name}" for info in pkgutil.iter_modules(folder)} | shared


def _functions(path: str) -> dict[str, Measure]:
    """The public functions that a module defines."""
    module = importlib.import_module(path)
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_")
    }
