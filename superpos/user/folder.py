"""Python files of a user's own folder of configs: its functions, its measures, its figures.

Only a command that is given the folder by name (`--config-dir`) runs them; nothing that a run
folder says ever does.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import lru_cache, wraps
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any, Final

from superpos.errors import ConfigError, SuperposError
from superpos.user.functions import FILE

MEASURES: Final = "measures"
FIGURES: Final = "figures"
"""Folders of Python files in a folder of configs."""


def functions_named(folder: Path, names: dict[str, str]) -> dict[str, Any]:
    """The functions of the folder's file that are named: {"loss": "l4"} -> {"loss": l4}.

    Runs the file. Raises `ConfigError` where it is not there or cannot be run, and for names of no
    function of its own.
    """
    path = folder / FILE
    if not path.is_file():
        raise ConfigError(
            f"own: {', '.join(names.values())}: there is no {path}, which is to have what own names"
        )
    module = _run(path)
    here = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value.__module__ == module.__name__
    }
    listed = ", ".join(here) or "none"
    if faults := [
        f"own.{what}: {path} has no function {name!r} of its own; it has {listed}"
        for what, name in names.items()
        if name not in here
    ]:
        raise ConfigError(faults)
    return {what: here[name] for what, name in names.items()}


def modules_in(folder: Path | None, kind: str) -> dict[str, ModuleType]:
    """The modules folder/kind/*.py by name, of which `superpos_functions` can be imported; none
    without a folder.

    Runs them. Raises `ConfigError` where one cannot be read or run.
    """
    files = [] if folder is None else sorted((folder / kind).glob("[!_.]*.py"))
    if folder is not None and files and (folder / FILE).is_file():
        _run(folder / FILE)
    return {path.stem: _run(path) for path in files}


def defined_in(module: ModuleType) -> dict[str, Callable[..., Any]]:
    """The public functions that a module of the user's own defines; what they raise is a message
    with file and line.

    Called they raise `ConfigError`, as every fault of a user.
    """
    functions = {
        name: value
        for name, value in vars(module).items()
        if isinstance(value, FunctionType) and value.__module__ == module.__name__
    }
    return {
        name: _explained(value, module)
        for name, value in functions.items()
        if not name.startswith("_")
    }


def _explained(function: Callable[..., Any], module: ModuleType) -> Callable[..., Any]:
    path = Path(str(module.__file__))

    @wraps(function)
    def called(*arguments: Any, **options: Any) -> Any:
        try:
            return function(*arguments, **options)
        except SuperposError:
            raise
        except Exception as error:
            raise _fault(path, error) from error

    return called


def _fault(path: Path, error: Exception) -> ConfigError:
    return ConfigError(f"{path}: {_where(error, path)}{type(error).__name__}: {_first_line(error)}")


def _run(path: Path) -> ModuleType:
    """The module that a file makes; one that has not changed is run once in a process."""
    try:
        source = path.read_text(encoding="utf-8")
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"{path}: cannot be read: {error}") from error
    module = _module(path.resolve(), source)
    # dataclasses look there for their module, and measures import functions
    sys.modules[module.__name__] = module
    return module


@lru_cache(maxsize=64)
def _module(path: Path, source: str) -> ModuleType:
    name = path.stem if path.name == FILE else f"superpos_{path.parent.name}_{path.stem}"
    module = ModuleType(name)
    module.__file__ = str(path)
    before = sys.modules.get(name)
    sys.modules[name] = module
    try:
        # the user's own, by the user's option
        exec(compile(source, path, "exec", dont_inherit=True), vars(module))
    except Exception as error:
        sys.modules.pop(name)
        if before is not None:
            sys.modules[name] = before
        raise _fault(path, error) from error
    return module


def _where(error: BaseException, path: Path) -> str:
    """The last line of the file that led to the error: "line 3: "."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: "
    lines = []
    trace = error.__traceback__
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == str(path):
            lines.append(trace.tb_lineno)
        trace = trace.tb_next
    return f"line {lines[-1]}: " if lines else ""


def _first_line(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return str(error.msg)
    return (str(error).splitlines() or [""])[0]
