"""What a function is, as text: its source, and what it uses.

Equal texts, equal results; a text is never executed.

A function of the same file is described by its source, as are those that it uses. What is imported
counts by its name, constants and arrays count by their value; of anything else it could not be told
whether it changed.
"""

from __future__ import annotations
import __future__

import ast
import dis
import hashlib
import inspect
import sys
import textwrap
from collections.abc import Iterator
from types import CodeType, FunctionType, ModuleType
from typing import Any

import numpy as np

from superpos.errors import ConfigError

_ALLOWED = (
    "numbers, texts, arrays, tensors, lists and dicts of these, functions of the same file, what "
    "is imported"
)


def described(function: object) -> dict[str, Any]:
    """{"name", "source", "uses": {name: what it is}} of a function, as plain JSON.

    Comments and layout do not count. Raises `ConfigError` where it is no function made with `def`,
    where its source is not to be had, or where it uses what cannot be described.
    """
    if not isinstance(function, FunctionType) or function.__name__ == "<lambda>":
        raise ConfigError(
            f"got {_shown(function)}; allowed: a function made with def, whose source names the run"
        )
    return _Description(function.__module__).function(function)


class _Description:
    """Describes a function and, once each, those of its own module that it uses."""

    def __init__(self, module: str) -> None:
        self._module = module
        self._seen: dict[FunctionType, int] = {}  # a function that calls itself must come to an end

    def function(self, function: FunctionType) -> dict[str, Any]:
        if function in self._seen:
            return {"name": function.__name__, "seen": self._seen[function]}
        self._seen[function] = len(self._seen)
        uses = {
            name: self._value(f"{function.__name__} uses {name}", value)
            for name, value in _uses(function)
        }
        return {"name": function.__name__, "source": _source(function), "uses": uses}

    def _value(self, where: str, value: object) -> Any:
        if value is None or isinstance(value, bool | int | float | complex | str | np.generic):
            return repr(value)
        if isinstance(value, list | tuple):
            return [self._value(where, item) for item in value]
        if isinstance(value, dict):
            return {repr(key): self._value(where, item) for key, item in value.items()}
        if (isinstance(value, np.ndarray) and value.dtype != object) or _is_tensor(value):
            return _array_text(value)
        if isinstance(value, ModuleType):
            return f"module {value.__name__}"
        return self._code(where, value)

    def _code(self, where: str, value: object) -> Any:
        """A function of the same file by its source; another function or class by its name."""
        home = getattr(value, "__module__", None)
        if isinstance(value, FunctionType) and home == self._module:
            return self.function(value)
        if callable(value) and hasattr(value, "__qualname__") and home != self._module:
            return f"{home}.{value.__qualname__}"
        raise ConfigError(f"{where}, {_shown(value)}; allowed: {_ALLOWED}")


def _uses(function: FunctionType) -> Iterator[tuple[str, object]]:
    """Names and values of the globals, of the variables of enclosing functions and of the defaults
    of a function.
    """
    for name in sorted(set(_global_names(function.__code__)) & function.__globals__.keys()):
        yield name, function.__globals__[name]
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        yield name, cell.cell_contents
    for name, parameter in inspect.signature(function, follow_wrapped=False).parameters.items():
        if parameter.default is not parameter.empty:
            yield name, parameter.default


def _global_names(code: CodeType) -> Iterator[str]:
    """Names of globals that are read in a function and in those inside it."""
    for part in (code, *_inner(code)):
        yield from (
            step.argval
            for step in dis.get_instructions(part)
            if step.opname in ("LOAD_GLOBAL", "LOAD_NAME")
        )


def _source(function: FunctionType) -> str:
    """The source of a function, without comments.

    Raises `ConfigError` where it is not there, or no longer.
    """
    code = function.__code__
    name = function.__name__
    try:
        if not _is_current(code):
            raise ConfigError(
                f"the file of {name} has changed since it was imported; import it anew"
            )
        return ast.unparse(ast.parse(textwrap.dedent(inspect.getsource(code))))
    except (OSError, SyntaxError) as error:
        raise ConfigError(
            f"the source of {name} is not to be had; allowed: a function in a file or a notebook"
        ) from error


def _is_current(code: CodeType) -> bool:
    """Whether the file of a function, as it is now, has just this function in that place."""
    file = ast.parse("".join(inspect.findsource(code)[0]))
    flags = code.co_flags & __future__.annotations.compiler_flag
    # a notebook compiles every statement
    parts = [file, *(ast.Module([statement], []) for statement in file.body)]
    return any(
        code in _inner(compile(part, code.co_filename, "exec", flags, dont_inherit=True))
        for part in parts
    )


def _inner(code: CodeType) -> Iterator[CodeType]:
    """The code of every function inside."""
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            yield constant
            yield from _inner(constant)


def _is_tensor(value: object) -> bool:
    return "torch" in sys.modules and isinstance(value, sys.modules["torch"].Tensor)


def _array_text(value: Any) -> str:
    """Type, shape and checksum of an array or a tensor."""
    array = np.ascontiguousarray(value.detach().cpu().numpy() if _is_tensor(value) else value)
    return (
        f"array {array.dtype.str} {list(array.shape)} sha256 "
        f"{hashlib.sha256(array.tobytes()).hexdigest()}"
    )


def _shown(value: object) -> str:
    """What a value is, in words."""
    if isinstance(value, FunctionType):
        return "a lambda"
    return (
        f"the class {value.__name__}"
        if isinstance(value, type)
        else f"an object of type {type(value).__name__}"
    )
