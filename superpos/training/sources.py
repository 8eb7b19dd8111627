"""Files that a run keeps for all of its models: what it took of other runs, and what its family shares among them.

A config names another run by its folder. In plan and row ids stands that run's digest instead, and what the family
reads of it is written to the new run's own folder before training: the new run stands alone, wherever the other goes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from superpos.errors import ConfigError, SuperposError
from superpos.family import Arrays, Shared, Source
from superpos.plan.sweep import Axis, Sweep
from superpos.store import RunFolder, load

DIGITS = 16
"""Hexadecimal digits of a digest by which a run is named."""


def resolve(sweep: Sweep) -> Sweep:
    """The sweep with the digest of every other run in the place of its folder; knows the folders by digest.

    Raises `ConfigError` where one is no run, or is not finished.
    """
    keys = [source.key for source in sweep.family.sources]
    texts = {text for key in keys for text in sweep.values(key) if text is not None}
    if not texts:
        return sweep
    named: dict[str, str] = {}
    folders: dict[str, Path] = {}
    faults: list[str] = []
    for text in sorted(texts):
        path, model = _parts(text)
        try:
            run = load(path)
            if not run.complete:
                raise SuperposError(f"{path} is not finished; train it first")
        except SuperposError as error:
            faults.append(f"{_keys_of(sweep, keys, text)}: {error}")
            continue
        digest = run.digest()[:DIGITS]
        named[text] = f"{digest}{model}"
        folders[digest] = run.path
    if faults:
        raise ConfigError(faults)

    def renamed(key: str, value: Any) -> Any:
        return named[value] if key in keys and value is not None else value

    base = {key: renamed(key, value) for key, value in sweep.base.items()}
    axes = [
        Axis(axis.keys, tuple(tuple(map(renamed, axis.keys, point)) for point in axis.values)) for axis in sweep.axes
    ]
    return replace(sweep, base=base, axes=tuple(axes), sources=folders)


def _parts(text: str) -> tuple[Path, str]:
    """Folder and model of RUN or RUN:MODEL; the model with its colon, empty without one."""
    folder, colon, model = text.rpartition(":")
    if colon and model.isdigit() and not Path(text).exists():
        return Path(folder).expanduser(), f":{int(model)}"
    return Path(text).expanduser(), ""


def _keys_of(sweep: Sweep, keys: list[str], text: str) -> str:
    return next(key for key in keys if text in sweep.values(key))


def needed(sweep: Sweep) -> Shared:
    """The files of a sweep that has no folder yet, made anew."""
    sources = {name: make() for name, make in _sources(sweep)}
    files = sweep.family.shared(sweep.settings, sources)
    return sources | {name: make() for name, make in files.items()}


def keep(sweep: Sweep, folder: RunFolder) -> Shared:
    """The files of a run: those that its folder holds, the others made and written there.

    Raises `SuperposError` where another run that is needed cannot be read, or the folder not be written.
    """
    sources = {name: _kept(folder, name, make) for name, make in _sources(sweep)}
    files = sweep.family.shared(sweep.settings, sources)
    return sources | {name: _kept(folder, name, make) for name, make in files.items()}


def _kept(folder: RunFolder, name: str, make: Callable[[], Arrays]) -> Arrays:
    there: Mapping[str, Any] | None = folder.shared(name)
    if there is not None:
        return there
    made = make()
    folder.share(name, made)
    return made


def _sources(sweep: Sweep) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """Name of the file and what reads it, for every other run that the sweep needs."""
    for source in sweep.family.sources:
        digests = {value.partition(":")[0] for value in sweep.values(source.key) if value is not None}
        for digest in sorted(digests):
            yield f"source-{digest}", _reader(sweep, source, digest)


def _reader(sweep: Sweep, source: Source, digest: str) -> Callable[[], Arrays]:
    def read() -> Arrays:
        if digest not in sweep.sources:
            raise SuperposError(f"{source.key}: the run of digest {digest} is needed, and where it lies is not known")
        return source.read(load(sweep.sources[digest]))

    return read
