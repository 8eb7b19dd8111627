"""The parser of Hydra's grammar, with functions of numbers that Hydra does not have."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from hydra.core.override_parser import overrides_parser, overrides_visitor
from hydra.core.override_parser.overrides_parser import OverridesParser, create_functions
from hydra.core.override_parser.types import ChoiceSweep

from superpos.config.spacing import SPACINGS, spaced


def parser() -> OverridesParser:
    """A parser that knows `SPACINGS`, beside Hydra's functions."""
    functions = create_functions()
    for kind in SPACINGS:
        functions.register(kind, _spacing(kind))
    return OverridesParser(functions)


def _spacing(kind: str) -> Callable[..., ChoiceSweep]:
    return lambda *numbers: ChoiceSweep(list=list(spaced(kind, numbers)))


def _with_asserts(module: ModuleType) -> ModuleType:
    """The same module as Python makes it without -O."""
    path = Path(str(module.__file__))
    made = ModuleType(module.__name__)
    exec(compile(path.read_text(encoding="utf-8"), path, "exec", optimize=0), vars(made))
    return made


if not __debug__:  # Hydra moves on to the next token inside an assert, which -O leaves out
    vars(overrides_parser)["HydraOverrideVisitor"] = _with_asserts(
        overrides_visitor
    ).HydraOverrideVisitor
