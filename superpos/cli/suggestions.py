"""What can stand at a place of the command line, for completion in a shell.

Imports nothing that takes long.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from pathlib import Path

from superpos.compose.experiments import (
    claims_folders,
    description,
    experiment_files,
    family_name,
    shipped_folder,
)
from superpos.config.schema import KeySpec, Schema, schema_of
from superpos.errors import ConfigError
from superpos.family import DEFAULT, find, names
from superpos.figures.registry import every_figure

Suggestions = list[tuple[str, str]]
"""(word, what it means), in the order in which they are shown."""


def overrides(
    word: str, given: Collection[str] = (), config_dir: Path | None = None
) -> Suggestions:
    """Whole words KEY= or KEY=VALUE that begin like `word`; keys of the overrides that are given
    already are left out.

    A value may be one of several: model.output=relu,<TAB> goes on with what is not in the list yet.
    """
    schema = _schema(given, config_dir)
    key, equals, values = word.partition("=")
    if not equals:
        taken = {text.partition("=")[0] for text in given}
        return [(f"{name}=", doc) for name, doc in _keys(schema) if name not in taken]
    if key == "experiment":
        return [(f"experiment={name}", doc) for name, doc in experiments(config_dir)]
    if key == "family":
        return [(f"family={name}", "") for name in names()]
    if key not in schema.keys:
        return []
    if schema.keys[key].kind == "run":
        return [(f"{key}={path}", "") for path, _ in runs()]
    start, comma, _ = values.rpartition(",")
    listed = start.split(",") if comma else []
    return [
        (f"{key}={start}{comma}{value}", "")
        for value in _values(schema.keys[key])
        if value not in listed
    ]


def experiments(config_dir: Path | None = None) -> Suggestions:
    """Experiments that ship with superpos, and those of `config_dir` where it has some."""
    return [(name, description(path)) for name, path in sorted(_files(config_dir).items())]


def _files(config_dir: Path | None) -> dict[str, Path]:
    try:
        return experiment_files(config_dir)
    except ConfigError:
        return experiment_files()


def claimed() -> Suggestions:
    """Experiments that `verify` knows claims of."""
    files = [path for folder in claims_folders() for path in folder.glob("*.yaml")]
    stems = {re.sub(r"^\d+_", "", path.stem) for path in files}
    return [(name, doc) for name, doc in experiments() if name in stems]


def clusters(config_dir: Path | None = None) -> Suggestions:
    """Sites of `submit --cluster`."""
    folders = [folder for folder in (config_dir, shipped_folder()) if folder is not None]
    return sorted(
        {(path.stem, "") for folder in folders for path in (folder / "cluster").glob("*.yaml")}
    )


def figures() -> Suggestions:
    """Names of the figures of all kinds of models."""
    return [(name, "") for name in every_figure()]


def runs(out: Path = Path("outputs")) -> Suggestions:
    """Run folders: the latest of each name, then all."""
    found = sorted(path.parent for path in out.glob("*/*/manifest.json"))
    latest = [path for path in found if path.name == "latest"]
    return [(str(path), "") for path in [*latest, *(path for path in found if path not in latest)]]


def _schema(given: Collection[str], config_dir: Path | None) -> Schema:
    """The keys of the family that the overrides name, or their experiment does."""
    values = dict(text.split("=", 1) for text in given if "=" in text)
    path = _files(config_dir).get(values.get("experiment", ""))
    name = values.get("family") or (path and family_name(path))
    return schema_of(find(name if name in names() else DEFAULT))


def _keys(schema: Schema) -> Iterator[tuple[str, str]]:
    yield "experiment", "sweep to start from"
    for key, spec in schema.keys.items():
        yield key, spec.doc


def _values(spec: KeySpec) -> list[str]:
    """Values that can be listed; none of numbers."""
    if spec.kind == "bool":
        return ["true", "false"]
    return list(spec.choices)
