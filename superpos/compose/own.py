"""Functions of a user's own that an experiment or an override names: `own: {loss: l4}`,
`own.loss=l4`.

Their file is run only where a command is given its folder; see `user.folder`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from superpos.compose.overrides import read_overrides
from superpos.config.schema import key, schema_of_group, unknown_key
from superpos.config.wording import show
from superpos.errors import ConfigError
from superpos.user.folder import functions_named
from superpos.user.functions import FILE, FUNCTIONS, Own

GROUP: Final = "own"
_PREFIX: Final = f"{GROUP}."


def _name(value: Any) -> str | None:
    return value if isinstance(value, str) and value.isidentifier() else None


def _mapping(value: Any) -> dict[str, Any] | None:
    return dict(value) if isinstance(value, Mapping) else None


def _list(value: Any) -> list[Any] | None:
    return list(value) if isinstance(value, list | tuple) else None


def _function(doc: str, null: str = "superpos's own") -> Any:
    """A key that names a function."""
    return key(
        "value", None, doc, parse=_name, words=f"the name of a function in {FILE}", null=null
    )


@dataclass(frozen=True)
class OwnConfig:
    """Functions of a file `superpos_functions.py`, which only `--config-dir` runs; those of a whole
    run.
    """

    model: str | None = _function("model(params, x): outputs [M, B, ...]")
    data: str | None = _function("data(x): inputs made of the drawn ones, [M, B, n]")
    target: str | None = _function("target(x): what the outputs should be")
    loss: str | None = _function("loss(out, target, params): the loss of each sample, [M, B]")
    after_step: str | None = _function(
        "after_step(params, lr, step): parameters that are to be others", null="none"
    )
    init: str | None = _function(
        "init(params): initial parameters that are to be others", null="as drawn"
    )
    measure: str | None = _function(
        "measure(params): columns of results, [M] each, which are own.NAME in the table",
        null="none",
    )
    params: Any = key(  # noqa: RUF009 - a field
        "value",
        None,
        "shapes of the parameters of one's own model",
        parse=_mapping,
        words='{name: shape} with shapes of "n", "m" and integers',
        null="those of superpos's own",
    )
    draws: Any = key(  # noqa: RUF009 - a field
        "value",
        None,
        "random numbers of a model's seed, which functions take by name: [M, B, ...], in "
        "after_step and init [M, ...]",
        parse=_mapping,
        words="{name: [uniform or normal, size, ...]}",
        null="none",
    )
    frozen: Any = key(  # noqa: RUF009 - a field
        "value",
        None,
        "parameters that training leaves as they were drawn",
        parse=_list,
        words="a list of names of parameters",
        null="none",
    )
    encoder: str | None = key(
        "value",
        None,
        "the parameter of one's own, of shape [n, m], whose rows are measured as those of W are",
        parse=_name,
        words="the name of a parameter",
        null="nothing is measured",
    )


SCHEMA: Final = schema_of_group(GROUP, OwnConfig)


def split(overrides: Sequence[str]) -> tuple[list[str], list[str]]:
    """The overrides of a sweep, and those of functions."""
    return [text for text in overrides if not _is_own(text)], [
        text for text in overrides if _is_own(text)
    ]


def _is_own(text: str) -> bool:
    return text.startswith(_PREFIX) or text.partition("=")[0] == GROUP


def own_of(block: Any, overrides: Sequence[str], config_dir: Path | None) -> Own | None:
    """The functions that the block `own:` of an experiment and overrides `own.*` name; None where
    they name none.

    Raises `ConfigError` with every fault; without a folder where functions are named.
    """
    if not isinstance(block, Mapping | None):
        raise ConfigError(f"{GROUP}: got {show(block)}; allowed: a group of keys")
    given = read_overrides(overrides, [], SCHEMA)
    faults = given.faults + [
        (
            f"{axis[0]}: one function a run, as each is part of the run's name; run superpos once "
            "for "
            "each"
        )
        for axis in given.axes
    ]
    values: dict[str, Any] = {}
    for name, value in {f"{_PREFIX}{name}": value for name, value in (block or {}).items()}.items():
        if name not in SCHEMA.keys:
            faults.append(unknown_key(SCHEMA, name, SCHEMA.keys))
        else:
            values[name] = value
    values |= given.values
    for name, value in values.items():
        try:
            values[name] = SCHEMA.canonical(name, value)
        except ValueError as fault:
            faults.append(f"{name}: {fault}{given.hints.get(name, '')}")
    if faults:
        raise ConfigError(faults)
    asked = {
        name.removeprefix(_PREFIX): value for name, value in values.items() if value is not None
    }
    return _own(asked, config_dir) if asked else None


def _own(asked: dict[str, Any], config_dir: Path | None) -> Own | None:
    names = {what: name for what, name in asked.items() if what in FUNCTIONS}
    if names and config_dir is None:
        named = ", ".join(f"{what}={name}" for what, name in names.items())
        raise ConfigError(
            f"{GROUP}: {named} needs --config-dir and the folder whose {FILE} has them"
        )
    functions = functions_named(config_dir, names) if names and config_dir is not None else {}
    try:
        return Own.of(
            functions, **{name: value for name, value in asked.items() if name not in FUNCTIONS}
        )
    except ConfigError as error:
        raise ConfigError([f"{_PREFIX}{fault}" for fault in error.faults]) from error
