"""The overrides of a command line, in Hydra's grammar, as typed values and axes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Glob, IntervalSweep, Override, OverrideType, QuotedString, RangeSweep
from hydra.errors import HydraException

from superpos.config.schema import Schema
from superpos.config.spacing import Axes, check_axis, spaced
from superpos.config.wording import did_you_mean, nearest, show, unknown
from superpos.errors import ConfigError


@dataclass
class Given:
    """What the overrides say."""

    experiment: str | None = None
    values: dict[str, Any] = field(default_factory=dict)  # single values by key, as Hydra's grammar types them
    axes: Axes = field(default_factory=dict)
    keys: set[str] = field(default_factory=set)  # all that are given, also where the values are at fault
    faults: list[str] = field(default_factory=list)


def read_overrides(overrides: Sequence[str], files: Iterable[str], schema: Schema) -> Given:
    """What the overrides say, with every fault; `files` are the names of the experiments."""
    given = Given()
    names = list(files)
    parser = OverridesParser.create()
    for text in overrides:
        try:
            [override] = parser.parse_overrides([_with_quoted_homes(text, schema)])
        except HydraException as error:
            given.faults.append(_grammar_fault(text, str(error), names))
            continue
        try:
            _read_override(text, override, given, names, schema)
        except ConfigError as error:
            given.faults += error.faults
    return given


def _with_quoted_homes(text: str, schema: Schema) -> str:
    """The override with quotes around folders of runs that begin with `~`, which has no place in Hydra's grammar."""
    key, equals, values = text.partition("=")
    if key not in schema.keys or schema.keys[key].kind != "run" or set(values) & {"'", '"'}:
        return text
    folders = [f"'{value}'" if value.startswith("~") else value for value in values.split(",")]
    return key + equals + ",".join(folders)


def _grammar_fault(text: str, message: str, files: list[str]) -> str:
    if "=" not in text:
        guess = nearest(text, files)
        return f"{text}: not KEY=VALUE" + (f"; did you mean experiment={guess}?" if guess else "")
    return f"{text}: not Hydra's grammar: {_grammar_reason(message)}; allowed: KEY=VALUE, KEY=V1,V2, range(START,STOP)"


def _grammar_reason(message: str) -> str:
    """What Hydra's parser says, without the names of its tokens."""
    if "LexerNoViableAltException" in message:
        return "a character that must stand in quotes (KEY='VALUE'), or a quote that is not closed"
    lines = [line for line in message.splitlines() if line and not line.startswith(("Error parsing", "See https"))]
    return re.sub(r" expecting (\{.*\}|<EOF>)", "", "; ".join(lines)).replace("'<EOF>'", "at the end")


def _read_override(text: str, override: Override, given: Given, files: list[str], schema: Schema) -> None:
    """Adds one override to `given`. ConfigError: it is refused."""
    key = override.key_or_group
    if override.type != OverrideType.CHANGE:
        raise ConfigError(f"{text}: + and ~ are refused; every key has a default: write {key}=VALUE")
    if key == "sweep" or key.startswith("sweep."):
        raise ConfigError(f"{text}: sweep is for YAML files; on the command line give a key its values: KEY=V1,V2")
    if key in given.keys or (key == "experiment" and given.experiment):
        raise ConfigError(f"{text}: {key} is given twice; give it once")
    if key == "experiment" and not override.package:
        given.experiment = _experiment(override, files)
        return
    _check_key(override, key, schema)
    given.keys.add(key)
    if override.is_sweep_override():
        given.axes[(key,)] = check_axis(schema, (key,), [(value,) for value in _swept_values(text, override)])
    else:
        given.values[key] = override.value()


def _check_key(override: Override, key: str, schema: Schema) -> None:
    if override.package or (key not in schema.keys and key not in schema.groups):
        raise ConfigError(unknown(f"{key}@{override.package}" if override.package else key, schema.keys))
    if key in schema.groups:
        members = ", ".join(name for name in schema.keys if name.startswith(f"{key}."))
        raise ConfigError(f"{key}: a group of keys; allowed: {members}")


def _experiment(override: Override, files: list[str]) -> str:
    if override.is_sweep_override():
        raise ConfigError("experiment: one experiment a run, as each has its own folder; run superpos once for each")
    value = override.value()
    name = value.text if isinstance(value, QuotedString) else "null" if value is None else str(value)
    if name in files:
        return name
    raise ConfigError(f"experiment: there is no {show(name)}; {did_you_mean(name, sorted(files))}")


def _swept_values(text: str, override: Override) -> Sequence[Any]:
    """Values of a sweeping override. ConfigError: a kind of sweep without one fixed list of values."""
    key, sweep = override.key_or_group, override.value()
    if isinstance(sweep, IntervalSweep):
        raise ConfigError(f"{text}: interval() has no fixed values; allowed: {key}=V1,V2, choice(...) or range(...)")
    if isinstance(sweep, Glob):
        raise ConfigError(
            f"{text}: glob() chooses configs, not values; allowed: {key}=V1,V2, choice(...) or range(...)"
        )
    if getattr(sweep, "shuffle", False):
        raise ConfigError(f"{text}: shuffle() would give every run another order; leave it out")
    if isinstance(sweep, RangeSweep):
        try:
            return spaced("range", [sweep.start or 0, sweep.stop or 0, sweep.step])
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from error
    return [value.text if isinstance(value, QuotedString) else value for value in sweep.list]  # type: ignore[union-attr]  # a ChoiceSweep
