"""The experiments: YAML files that ship with superpos, and a user's own. Imports the standard library only."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from superpos.errors import ConfigError
from superpos.family import every

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]*")


def experiment_files(config_dir: Path | None = None) -> dict[str, Path]:
    """{name: YAML file} of the experiments that ship with superpos and of those in `config_dir`/experiment.

    Raises:
        ConfigError: `config_dir` is no folder of experiments, or has one of a shipped name.
    """
    shipped: dict[str, Path] = {}
    for folder in (shipped_folder(), *config_folders()):
        found = {path.stem: path for path in (folder / "experiment").glob("*.yaml")}
        twice = sorted(shipped.keys() & found.keys())
        if twice:
            raise ConfigError([f"{found[name]} has the name of a shipped experiment; rename it" for name in twice])
        shipped |= found
    if config_dir is None:
        return shipped
    _check_folder(config_dir)
    own = {path.stem: path for path in (config_dir / "experiment").glob("*.yaml")}
    if not own and not any((config_dir / "cluster").glob("*.y*ml")):  # a site of SLURM is enough
        raise ConfigError(
            f"--config-dir: {config_dir} holds no experiments; put them in {config_dir}/experiment/*.yaml"
        )
    if config_dir.resolve() == shipped_folder().resolve():
        return shipped
    faults = [
        f"--config-dir: {own[name]} has the name of a shipped experiment; rename it" for name in own if name in shipped
    ]
    faults += [
        f"--config-dir: {path} has a name that cannot be used; allowed: letters, digits and ._-"
        for name, path in own.items()
        if not _NAME.fullmatch(name)
    ]
    if faults:
        raise ConfigError(faults)
    return shipped | own


def _check_folder(config_dir: Path) -> None:
    """Raises `ConfigError` for what is no folder, and where one of its own cannot be read."""
    try:
        if not config_dir.is_dir():
            raise ConfigError(f"--config-dir: {config_dir} is not a folder")
        for folder in config_dir.iterdir():
            if folder.name in ("experiment", "cluster") and folder.is_dir():
                next(folder.iterdir(), None)
    except OSError as error:
        raise ConfigError(f"--config-dir: cannot read {error.filename or config_dir}: {error.strerror}") from error


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
    """The first comment line of an experiment."""
    first = path.read_text(encoding="utf-8").partition("\n")[0]
    return first.removeprefix("#").strip() if first.startswith("#") else ""


def family_name(path: Path) -> str | None:
    """The family that an experiment names in its own file."""
    named = re.search(r"^family: *([\w.-]+)", path.read_text(encoding="utf-8"), re.MULTILINE)
    return named[1] if named else None


def place(path: Path) -> int:
    """Place of an experiment in the paper: the number that its description begins with, "4. Geometry ..."."""
    number = re.match(r"(\d+)\. ", description(path))
    return int(number[1]) if number else sys.maxsize
