"""Measures that claims name: every public function of a family's measures and of `claims.table`, as
module.function, and those of a user's own folder, by the names of its files.

A measure takes a run and keyword arguments and returns `Measured`. It measures whatever run it is
given. What cannot be measured is NaN, which lies in no band; a claim whose negative control is NaN
fails, unless it says why.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from types import ModuleType
from typing import Any, Final

import numpy as np

from superpos.claims import table
from superpos.claims.measured import Measured
from superpos.errors import ConfigError
from superpos.family import Family
from superpos.user.folder import MEASURES, defined_in, modules_in

Measure = Callable[..., Measured]
Own = Mapping[str, ModuleType]
NONE: Final[Own] = {}


def own_modules(folder: Path) -> dict[str, ModuleType]:
    """The files measures/*.py of a user's folder of configs by name.

    Runs them. Raises `ConfigError`.
    """
    return modules_in(folder, MEASURES)


def find(family: Family, name: str, own: Own = NONE) -> Measure:
    """The measure of a name, of a family or of a user's own modules; KeyError says which there
    are.
    """
    modules = _modules(family)
    module, _, function = name.partition(".")
    if module in modules and module in own:
        raise KeyError(f"{own[module].__file__} has the name of measures of superpos; rename it")
    if module not in modules and module not in own:
        raise KeyError(
            f"there is no module {module!r}; there are {', '.join(sorted([*modules, *own]))}"
        )
    here = _own_functions(own[module]) if module in own else _functions(modules[module])
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
        if inspect.isfunction(value)
        and value.__module__ == module.__name__
        and not name.startswith("_")
    }


def _own_functions(module: ModuleType) -> dict[str, Measure]:
    return {
        name: _measuring(function, f"{module.__file__}: {name}")
        for name, function in defined_in(module).items()
    }


def _measuring(function: Callable[..., Any], where: str) -> Measure:
    """The function; what it returns must be `Measured`, or numbers [K] alone."""

    @wraps(function)
    def measure(*arguments: Any, **options: Any) -> Measured:
        found = function(*arguments, **options)
        if isinstance(found, Measured):
            return found
        try:
            return Measured(np.atleast_1d(np.asarray(found, dtype=np.float64)))
        except (TypeError, ValueError) as error:
            raise ConfigError(
                f"{where} gives a {type(found).__name__}; allowed: numbers, one a trial"
            ) from error

    return measure
