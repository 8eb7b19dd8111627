"""The experiments: YAML files that ship with superpos, and a user's own.

Imports the standard library only.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from superpos.errors import ConfigError
from superpos.family import every

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_NAMES: Final = "up to 100 letters, digits and ._-"
_SUFFIX = ".yaml"
_LIKE_YAML = re.compile(r"\.ya?ml", re.IGNORECASE)
_ENOUGH: Final = (
    "cluster/*.y*ml",
    "claims/*.yaml",
    "measures/*.py",
    "figures/*.py",
    "superpos_functions.py",
)
"""What of a folder of configs can be used without experiments."""
_HYDRAS = ("_self_", "_global_", "_group_", "_name_", "_here_")  # words of its `defaults:`


@dataclass(frozen=True)
class Experiments:
    """The YAML files of a folder of configs that are experiments, and what looks like one and is
    none.
    """

    files: Mapping[str, Path]
    """By name."""
    passed_over: Mapping[Path, str]
    """Why each is none, in words that go on from its path."""

    def reason(self, name: str) -> str | None:
        """Why there is no experiment of this name, where a file was meant to be one: with its
        path.
        """
        meant = (
            path for path in self.passed_over if name in (path.name, _LIKE_YAML.split(path.name)[0])
        )
        path = next(meant, None)
        return None if path is None else f"{path} {self.passed_over[path]}"


NONE: Final = Experiments({}, {})


def experiment_files(config_dir: Path | None = None) -> dict[str, Path]:
    """{name: YAML file} of the experiments that ship with superpos and of those in
    `config_dir`/experiment.

    Raises:
        ConfigError: `config_dir` is no folder of experiments.
    """
    shipped = shipped_files()
    return shipped | dict(own_experiments(config_dir, shipped).files)


def shipped_files() -> dict[str, Path]:
    """{name: YAML file} of the experiments that ship with superpos and its families.

    Raises:
        ConfigError: two have the same name.
    """
    found: dict[str, Path] = {}
    for folder in (shipped_folder(), *config_folders()):
        own = _experiments_in(folder, {})
        twice = sorted(found.keys() & own.files.keys())
        if twice:
            raise ConfigError(
                [
                    f"{own.files[name]} has the name of a shipped experiment; rename it"
                    for name in twice
                ]
            )
        found |= own.files
    return found


def own_experiments(config_dir: Path | None, shipped: Collection[str]) -> Experiments:
    """The experiments of a user's folder; one of a name in `shipped` is none.

    Raises:
        ConfigError: it is no folder of configs, or none of its experiments can be used.
    """
    if config_dir is None:
        return NONE
    try:
        if not config_dir.is_dir():
            raise ConfigError(f"--config-dir: {config_dir} is not a folder")
        if config_dir.resolve() == shipped_folder().resolve():
            return NONE
        for folder in config_dir.iterdir():
            if folder.name in ("experiment", "cluster") and folder.is_dir():
                next(folder.iterdir(), None)
        found = _experiments_in(config_dir, shipped)
    except OSError as error:
        raise ConfigError(
            f"--config-dir: cannot read {error.filename or config_dir}: {error.strerror}"
        ) from error
    if found.files or any(any(config_dir.glob(pattern)) for pattern in _ENOUGH):
        return found
    if found.passed_over:
        raise ConfigError(
            [f"--config-dir: {path} {reason}" for path, reason in found.passed_over.items()]
        )
    raise ConfigError(
        f"--config-dir: {config_dir} holds no experiments; put them in "
        f"{config_dir}/experiment/*.yaml"
    )


def own_folder(config_dir: Path) -> Path:
    """A user's folder of configs. Raises `ConfigError` where it is none, as `own_experiments`."""
    own_experiments(config_dir, shipped_files())
    return config_dir


def _experiments_in(folder: Path, taken: Collection[str]) -> Experiments:
    """The experiments in `folder`/experiment.

    Raises `OSError` where that is there and cannot be read.
    """
    place = folder / "experiment"
    files: dict[str, Path] = {}
    passed_over: dict[Path, str] = {}
    for path in sorted(place.iterdir()) if place.is_dir() else []:
        if not _LIKE_YAML.search(path.name):
            continue
        if reason := _no_experiment(path, taken):
            passed_over[path] = reason
        else:
            files[path.stem] = path
    return Experiments(files, passed_over)


def _no_experiment(path: Path, taken: Collection[str]) -> str | None:
    """Why a file is no experiment, None where it may be one: the copies and notes of editors and
    systems are none.
    """
    if path.name.startswith("."):
        return "is a hidden file"
    if not path.name.endswith(_SUFFIX):
        return f"does not end in {_SUFFIX}; rename it if it is an experiment"
    if not _usable(path.stem):
        return f"has a name that cannot be used; allowed: {_NAMES}"
    if path.is_symlink() and not path.exists():
        return "is a link that leads nowhere"
    if not path.is_file():
        return "is no file"
    if not os.access(path, os.R_OK, effective_ids=os.access in os.supports_effective_ids):
        return "cannot be read: permission denied"
    return "has the name of a shipped experiment; rename it" if path.stem in taken else None


def _usable(name: str) -> bool:
    """Whether an experiment can have this name: whether Hydra's grammar reads it as one."""
    return bool(_NAME.fullmatch(name)) and name not in _HYDRAS and not _LIKE_YAML.search(name)


def new_experiment(name: str, config_dir: Path) -> dict[Path, str]:
    """Where a new experiment of a user's own and its claims go, and commented ones to start from.

    Raises:
        ConfigError: the name cannot be used or is taken, or `config_dir` is no folder of the user's
        own.
    """
    faults = []
    if not _usable(name):
        faults.append(f"NAME: got {name!r}; allowed: {_NAMES}")
    elif name in shipped_files():
        faults.append(f"NAME: {name} is the name of a shipped experiment; take another one")
    starts = {
        config_dir / "experiment" / f"{name}{_SUFFIX}": "new.yaml",
        config_dir / "claims" / f"{name}{_SUFFIX}": "new_claims.yaml",
    }
    folders = [config_dir, *(path.parent for path in starts)]
    not_folders = [folder for folder in folders if folder.exists() and not folder.is_dir()]
    if not_folders:
        faults.append(f"--config-dir: {not_folders[0]} is not a folder")
    elif config_dir.resolve() == shipped_folder().resolve():
        faults.append(
            f"--config-dir: {config_dir} holds the shipped experiments; give a folder of your own"
        )
    elif not faults:
        faults += [
            f"{path} is there already; give another name"
            for path in starts
            if os.path.lexists(path)
        ]
    if faults:
        raise ConfigError(faults)
    texts = {
        path: (shipped_folder() / start).read_text(encoding="utf-8")
        for path, start in starts.items()
    }
    return {path: text.replace("NAME", name) for path, text in texts.items()}


def forgotten_folder(name: str) -> Path | None:
    """The folder here that has an experiment of this name, where --config-dir does not name it."""
    if not _usable(name):
        return None
    try:
        folders = sorted(Path().iterdir())
        return next(
            (
                folder
                for folder in folders
                if (folder / "experiment" / f"{name}{_SUFFIX}").is_file()
            ),
            None,
        )
    except OSError:
        return None


def config_folders() -> list[Path]:
    """Folders of experiments and claims of families that do not ship with superpos."""
    return [family.configs for family in every() if family.configs is not None]


def claims_folders() -> list[Path]:
    """Folders of claims: those about the shipped experiments first."""
    return [folder / "claims" for folder in (shipped_folder(), *config_folders())]


def shipped_folder() -> Path:
    """`configs` inside the installed package, or beside it in a source tree."""
    package = Path(__file__).resolve().parent.parent
    installed = package / "configs"
    return installed if installed.is_dir() else package.parent / "configs"


def description(path: Path) -> str:
    """The first comment line of an experiment; empty where it cannot be read."""
    first = _text(path).partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def family_name(path: Path) -> str | None:
    """The family that an experiment names in its own file."""
    named = re.search(r"^family: *([\w.-]+)", _text(path), re.MULTILINE)
    return named[1] if named else None


def _text(path: Path) -> str:
    """What an experiment says, as far as it can be read: what is wrong with it is said when it is
    composed.
    """
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def place(path: Path) -> int:
    """Place of an experiment in the paper: the number that its description begins with, "4.

    Geometry ...".
    """
    number = re.match(r"(\d+)\. ", description(path))
    return int(number[1]) if number else sys.maxsize
