"""From a command line to a sweep: Hydra composes the YAML once, the schema checks every value. All faults at once.

The only importer of hydra and omegaconf.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.config_store import ConfigStore
from hydra.core.global_hydra import GlobalHydra
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import (
    Glob,
    IntervalSweep,
    Override,
    OverrideType,
    QuotedString,
    RangeSweep,
)
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from superpos.compose.experiments import description, experiment_files, place, shipped_folder
from superpos.compose.merge import Given, merge
from superpos.config.schema import DEFAULTS, GROUPS, KEYS
from superpos.config.spacing import check_axis, spaced
from superpos.config.wording import did_you_mean, nearest, show, unknown
from superpos.errors import ConfigError
from superpos.plan.sweep import Sweep
from superpos.user.functions import Own

DEFAULT_EXPERIMENT = "intro"
_UNREADABLE = (
    *(HydraException, OmegaConfBaseException, yaml.YAMLError, OSError),
    *(ValueError, TypeError, AssertionError),  # what Hydra raises for a `defaults:` or package that makes no sense
)


@dataclass(frozen=True)
class Composed:
    """A checked sweep, what the user should know of it, and the experiment that it came from."""

    sweep: Sweep
    notices: list[str]
    experiment: str | None


@dataclass(frozen=True)
class ExperimentInfo:
    """A shipped or user's experiment; `description` is the first comment line of its file."""

    name: str
    description: str
    sweep: Sweep


def compose(overrides: Sequence[str], config_dir: Path | None = None, own: Own | None = None) -> Composed:
    """The sweep that the overrides ask for, with functions of a user's own; without any, the experiment `intro`.

    Raises:
        ConfigError: with every fault of the overrides, the YAML and their combination, one line each.
    """
    files = experiment_files(config_dir)
    given = _read_overrides(overrides, files)
    experiment = given.experiment if overrides else DEFAULT_EXPERIMENT
    try:
        tree = _load(given, experiment, files, config_dir)
    except ConfigError as error:
        raise ConfigError(given.faults + error.faults) from error
    sweep, notices = merge(tree, given, experiment, own)
    return Composed(sweep, notices, experiment)


def experiments(config_dir: Path | None = None) -> list[ExperimentInfo]:
    """Every experiment, in the order of the paper; those that say no place in it last, by name.

    Raises:
        ConfigError: one of them is faulty.
    """
    files = sorted(experiment_files(config_dir).items(), key=lambda item: (place(item[1]), item[0]))
    return [ExperimentInfo(name, description(path), _sweep_of(name, config_dir)) for name, path in files]


def _sweep_of(experiment: str, config_dir: Path | None) -> Sweep:
    """The sweep of an experiment as it is. ConfigError: its file is faulty; says which."""
    try:
        return compose([f"experiment={experiment}"], config_dir).sweep
    except ConfigError as error:
        told = f"experiment {experiment}: "
        raise ConfigError([told + fault.removeprefix(told) for fault in error.faults]) from error


def _read_overrides(overrides: Sequence[str], files: dict[str, Path]) -> Given:
    given = Given()
    parser = OverridesParser.create()
    for text in overrides:
        try:
            [override] = parser.parse_overrides([text])
        except HydraException as error:
            given.faults.append(_grammar_fault(text, str(error), files))
            continue
        try:
            _read_override(text, override, given, files)
        except ConfigError as error:
            given.faults += error.faults
    return given


def _grammar_fault(text: str, message: str, files: dict[str, Path]) -> str:
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


def _read_override(text: str, override: Override, given: Given, files: dict[str, Path]) -> None:
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
    _check_key(override, key)
    given.keys.add(key)
    if override.is_sweep_override():
        given.axes[(key,)] = check_axis((key,), [(value,) for value in _swept_values(text, override)])
    else:
        given.lines.append(text)


def _check_key(override: Override, key: str) -> None:
    if override.package or (key not in KEYS and key not in GROUPS):
        raise ConfigError(unknown(f"{key}@{override.package}" if override.package else key, KEYS))
    if key in GROUPS:
        members = ", ".join(name for name in KEYS if name.startswith(f"{key}."))
        raise ConfigError(f"{key}: a group of keys; allowed: {members}")


def _experiment(override: Override, files: dict[str, Path]) -> str:
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


def _load(given: Given, experiment: str | None, files: dict[str, Path], config_dir: Path | None) -> dict[str, Any]:
    """The composed YAML as plain values. ConfigError: it cannot be read or merged."""
    overrides = [*([f"experiment@_global_={experiment}"] if experiment else []), *given.lines]
    if config_dir is not None:
        folder = config_dir.resolve().as_posix().replace("\\", "\\\\").replace("'", "\\'")
        overrides.append(f"hydra.searchpath=['file://{folder}']")
    ConfigStore.instance().store(name="superpos_schema", node=_default_tree())
    try:
        if experiment:
            _check_shape(files[experiment])
        with _own_hydra(), initialize_config_dir(str(shipped_folder()), job_name="superpos", version_base="1.3"):
            tree = OmegaConf.to_container(hydra_compose("base", overrides), resolve=True)
    except RecursionError as error:
        raise ConfigError(f"experiment {experiment}: its defaults: lead back to itself") from error
    except _UNREADABLE as error:
        raise ConfigError(f"{f'experiment {experiment}' if experiment else 'overrides'}: {_reason(error)}") from error
    return tree  # type: ignore[return-value]  # the base config is a mapping with names as keys


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Sets aside the one global Hydra of a caller that is a Hydra program itself."""
    callers = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = callers


def _default_tree() -> dict[str, Any]:
    tree: dict[str, Any] = {"sweep": {}}
    for key, value in DEFAULTS.items():
        group, _, leaf = key.rpartition(".")
        (tree.setdefault(group, {}) if group else tree)[leaf] = value
    return tree


def _check_shape(path: Path) -> None:
    """ConfigError: the file is not a mapping, or a group in it is not; Hydra would not say which."""
    tree = OmegaConf.to_container(OmegaConf.load(path))
    if not isinstance(tree, dict):
        raise ConfigError(f"{path}: holds a list; allowed: a mapping of keys to values")
    wrong = [group for group in GROUPS if not isinstance(tree.get(group, {}), dict)]
    if wrong:
        raise ConfigError([f"{group}: got {show(tree[group])}; allowed: a group of keys" for group in wrong])


def _reason(error: BaseException) -> str:
    """What a YAML, Hydra or OmegaConf error says, in one line and without Hydra's search path."""
    lines = [line.strip() for line in str(error).partition("Config search path")[0].splitlines() if line.strip()]
    if any("Cannot merge" in line for line in lines):
        lines.append("a swept key must keep the form that it has in the extended experiment: a list, or a spacing")
    return "; ".join(line.rstrip(":") for line in lines if not line.startswith(("full_key:", "object_type=")))
