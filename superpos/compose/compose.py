"""From a command line to a sweep: Hydra composes the YAML once, the schema checks every value.

All faults at once.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, cast

import yaml
from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from superpos.compose import overrides as overriding
from superpos.compose import own as own_functions
from superpos.compose.experiments import (
    Experiments,
    config_folders,
    description,
    own_experiments,
    place,
    shipped_files,
    shipped_folder,
)
from superpos.compose.merge import merge
from superpos.compose.overrides import Given, read_overrides
from superpos.compose.plain_scalars import ambiguous
from superpos.config.schema import Schema, schema_of
from superpos.config.wording import did_you_mean, show
from superpos.errors import ConfigError
from superpos.family import DEFAULT, Family, find, names
from superpos.plan.sweep import Sweep
from superpos.user.functions import Own

DEFAULT_EXPERIMENT = "intro"
_ROOT: Final[dict[str, Any]] = {"sweep": {}}
"""What configs/base.yaml holds beside its experiment."""
_HYDRA = threading.RLock()  # there is one of it in a process: threads compose one after the other
_UNREADABLE = (
    *(HydraException, OmegaConfBaseException, yaml.YAMLError, OSError),
    # what Hydra raises for a `defaults:` or package that makes no sense
    *(ValueError, TypeError, AssertionError),
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


def compose(
    overrides: Sequence[str], config_dir: Path | None = None, own: Own | None = None
) -> Composed:
    """The sweep that the overrides ask for, with functions of a user's own; without any, the
    experiment `intro`.

    Raises:
        ConfigError: with every fault of the overrides, the YAML and their combination, one line
        each.
    """
    with _HYDRA:
        return _composed(overrides, config_dir, own)


def _composed(overrides: Sequence[str], config_dir: Path | None, own: Own | None) -> Composed:
    shipped = shipped_files()
    users = own_experiments(config_dir, shipped)
    files = shipped | dict(users.files)
    asked, functions = own_functions.split(overrides)
    given = read_overrides(asked, files, schema_of(find(_named_family(overrides))), users)
    experiment = given.experiment if overrides else DEFAULT_EXPERIMENT
    _check_shadow(experiment, config_dir, users)
    try:
        loaded = _load(experiment, files, users, config_dir)
    except ConfigError as error:
        raise ConfigError(given.faults + error.faults) from error
    # a fault of its own: the keys of an unknown family cannot be judged
    family = _family(given, loaded)
    if family.name != _named_family(overrides):  # the experiment names another
        given = read_overrides(asked, files, schema_of(family), users)
    try:
        tree = _complete(loaded, given, schema_of(family), experiment)
        named = own_functions.own_of(tree.pop(own_functions.GROUP, None), functions, config_dir)
        if named is not None and own is not None:
            raise ConfigError(
                f"own: {named}, beside the arguments {own} of superpos.train; give one of the two"
            )
        own = named or own
    except ConfigError as error:
        raise ConfigError(given.faults + error.faults) from error
    sweep, notices = merge(tree, given, experiment, _with_functions(family, own))
    return Composed(sweep, notices, experiment)


def meant(words: Sequence[str], overrides: Sequence[str]) -> str | None:
    """The override that words of a command line may stand for, beside other overrides; None where
    for none.
    """
    with _HYDRA:
        return overriding.meant(words, shipped_files(), schema_of(find(_named_family(overrides))))


def _check_shadow(experiment: str | None, config_dir: Path | None, users: Experiments) -> None:
    """ConfigError: the user has an experiment of the same name, and it is not clear which is
    meant.
    """
    if config_dir is None or experiment is None:
        return
    path = config_dir / "experiment" / f"{experiment}.yaml"
    if path in users.passed_over:
        raise ConfigError(f"--config-dir: {path} {users.passed_over[path]}")


def _named_family(overrides: Sequence[str]) -> str:
    """The family that the overrides name, where there is one of that name; else the default."""
    named = [text.removeprefix("family=") for text in overrides if text.startswith("family=")]
    return next((name for name in named if name in names()), DEFAULT)


def _family(given: Given, loaded: DictConfig) -> Family:
    """The kind of models that the overrides or the experiment name.

    ConfigError: there is none of that name.
    """
    name = given.values.get("family", loaded.get("family", DEFAULT))
    if name not in names():
        raise ConfigError(f"family: there is no {show(name)}; {did_you_mean(str(name), names())}")
    return find(name)


def _with_functions(family: Family, own: Own | None) -> Family:
    """The family with a user's own functions. ConfigError: it has no place for any."""
    if own is None:
        return family
    if family.with_functions is None:
        raise ConfigError(f"family={family.name} takes no functions of one's own ({own})")
    return family.with_functions(own)


def experiments(config_dir: Path | None = None) -> list[ExperimentInfo]:
    """Every experiment, in the order of the paper; those that say no place in it last, by name.

    Raises as `survey`.
    """
    infos, _ = survey(config_dir)
    return infos


def survey(config_dir: Path | None = None) -> tuple[list[ExperimentInfo], list[str]]:
    """The `experiments`, and what of the user's folder is none or faulty, in words.

    Raises:
        ConfigError: a shipped one is faulty, or all of the user's are.
    """
    shipped = shipped_files()
    users = own_experiments(config_dir, shipped)
    files = {**shipped, **users.files}
    infos: list[ExperimentInfo] = []
    faults: list[str] = []
    for name, path in sorted(files.items(), key=lambda item: (place(item[1]), item[0])):
        try:
            sweep = _sweep_of(name, None if name in shipped else config_dir)
            infos.append(ExperimentInfo(name, description(path), sweep))
        except ConfigError as error:
            if name in shipped:
                raise
            faults += error.faults
    if users.files and len(infos) == len(shipped):
        raise ConfigError(faults)
    return infos, faults + [f"{path} {reason}" for path, reason in users.passed_over.items()]


def _sweep_of(experiment: str, config_dir: Path | None) -> Sweep:
    """The sweep of an experiment as it is. ConfigError: its file is faulty; says which."""
    try:
        return compose([f"experiment={experiment}"], config_dir).sweep
    except ConfigError as error:
        told = f"experiment {experiment}: "
        raise ConfigError([told + fault.removeprefix(told) for fault in error.faults]) from error


def _load(
    experiment: str | None, files: Mapping[str, Path], users: Experiments, config_dir: Path | None
) -> DictConfig:
    """The YAML of an experiment and of those that it extends.

    ConfigError: it cannot be read or merged.
    """
    alone = None if experiment in users.files else without_hydra(files, experiment)
    if alone is not None:
        return alone
    # null and 1e3 are names, too
    overrides = [f"experiment@_global_='{experiment}'"] if experiment else []
    folders = [*config_folders(), *([config_dir] if config_dir else [])]
    if folders:
        overrides.append(f"hydra.searchpath=[{','.join(map(_quoted, folders))}]")
    try:
        if experiment:
            _check_mapping(files[experiment])
            _check_scalars(experiment, users.files)
        with (
            _own_hydra(),
            initialize_config_dir(str(shipped_folder()), job_name="superpos", version_base="1.3"),
        ):
            loaded = hydra_compose("base", overrides)
    except RecursionError as error:
        raise ConfigError(
            f"experiment {experiment}: its defaults, or an anchor in it, lead back to itself"
        ) from error
    except _UNREADABLE as error:
        raise _unreadable(experiment, error) from error
    OmegaConf.set_struct(loaded, False)
    return loaded


def without_hydra(files: Mapping[str, Path], experiment: str | None) -> DictConfig | None:
    """The YAML of a shipped experiment, or of none, as Hydra composes it in 15 times the time;
    None where it extends another.
    """
    loaded = OmegaConf.load(files[experiment]) if experiment else OmegaConf.create()
    if "defaults" in loaded:
        return None
    return cast(DictConfig, OmegaConf.merge(_ROOT, loaded))


def _complete(
    loaded: DictConfig, given: Given, schema: Schema, experiment: str | None
) -> dict[str, Any]:
    """Defaults, experiment and overrides on top of each other, as plain values.

    ConfigError: they cannot be merged.
    """
    groups = [
        group for group in schema.groups if not isinstance(loaded.get(group, {}), DictConfig | dict)
    ]
    if groups:
        raise ConfigError(
            [f"{group}: got {show(loaded[group])}; allowed: a group of keys" for group in groups]
        )
    try:
        tree = OmegaConf.merge(_default_tree(schema), loaded)
        for key, value in given.values.items():
            OmegaConf.update(tree, key, value)
        return OmegaConf.to_container(tree, resolve=True)  # type: ignore[return-value]  # names are its keys
    except _UNREADABLE as error:
        raise _unreadable(experiment, error) from error


def _quoted(folder: Path) -> str:
    """A folder in Hydra's grammar."""
    text = folder.resolve().as_posix().replace("\\", "\\\\").replace("'", "\\'")
    return f"'file://{text}'"


def _unreadable(experiment: str | None, error: BaseException) -> ConfigError:
    return ConfigError(
        f"{f'experiment {experiment}' if experiment else 'overrides'}: {_reason(error)}"
    )


@contextmanager
def _own_hydra() -> Iterator[None]:
    """Sets aside the one global Hydra of a caller that is a Hydra program itself."""
    callers = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        GlobalHydra.instance().hydra = callers


def _default_tree(schema: Schema) -> dict[str, Any]:
    tree: dict[str, Any] = {"sweep": {}}
    for key, value in schema.defaults.items():
        group, _, leaf = key.rpartition(".")
        (tree.setdefault(group, {}) if group else tree)[leaf] = value
    return tree


def _check_scalars(experiment: str, files: Mapping[str, Path]) -> None:
    """ConfigError: in the user's files something would be another value on the command line."""
    faults = ambiguous(experiment, files)
    if faults:
        raise ConfigError(faults)


def _check_mapping(path: Path) -> None:
    """ConfigError: the file is not a mapping; Hydra would not say so."""
    if not isinstance(OmegaConf.to_container(OmegaConf.load(path)), dict):
        raise ConfigError(f"{path}: holds a list; allowed: a mapping of keys to values")


def _reason(error: BaseException) -> str:
    """What a YAML, Hydra or OmegaConf error says, in one line and without Hydra's search path."""
    lines = [
        line.strip()
        for line in str(error).partition("Config search path")[0].splitlines()
        if line.strip()
    ]
    if any("Cannot merge" in line for line in lines):
        lines.append(
            "a swept key must keep the form that it has in the extended experiment: a list, or a "
            "spacing"
        )
    return "; ".join(
        line.rstrip(":") for line in lines if not line.startswith(("full_key:", "object_type="))
    )
