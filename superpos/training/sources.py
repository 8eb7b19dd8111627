"""Files that a run keeps for all of its models: what it took of other runs, and what its family
shares among them.

A config names another run by its folder. In plan and row ids stands that run's digest instead, and
what the family reads of it is written to the new run's own folder before training: the new run
stands alone, wherever the other goes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from superpos.errors import ConfigError, SuperposError
from superpos.family import Arrays, Shared, Source
from superpos.paths import given
from superpos.plan.sweep import Axis, Sweep
from superpos.store import Run, RunFolder, explained, load

DIGITS = 16
"""Hexadecimal digits of a digest by which a run is named."""
_DIGEST = re.compile(rf"[0-9a-f]{{{DIGITS}}}(:(0|[1-9][0-9]*))?")


def resolve(sweep: Sweep) -> Sweep:
    """The sweep with the digest of every other run in the place of its folder; knows the folders by
    digest.

    What follows from those runs stands in it, too (`Family.with_sources`). A digest may be given as
    it is: what the run's own folder keeps is enough to go on.
    Raises `ConfigError` where one is no run, is not finished or does not fit.
    """
    keys = [source.key for source in sweep.family.sources]
    specs = sweep.schema.keys
    texts = {text: key for key in keys for text in sweep.values(key) if specs[key].names_run(text)}
    if not texts:
        return sweep
    names: dict[str, str] = {}
    runs: dict[str, Run] = {}
    faults: list[str] = []
    for text, key in sorted(texts.items()):
        if _DIGEST.fullmatch(text) and not Path(text).exists():
            names[text] = text
            continue
        try:
            digest, model, run = _named(text)
        except SuperposError as error:
            faults.append(f"{key}: {error}")
            continue
        names[text] = f"{digest}{model}"
        runs[digest] = run
    faults += _twice(texts, names)
    if faults:
        raise ConfigError(faults)
    folders = {digest: run.path for digest, run in runs.items()}
    resolved: Sweep = sweep.family.with_sources(
        replace(_renamed(sweep, keys, names), sources=folders), runs
    )
    if faults := resolved.faults():
        raise ConfigError(faults)
    return resolved


def _named(text: str) -> tuple[str, str, Run]:
    """Digest, model (with its colon, empty without one) and run of RUN or RUN:MODEL.

    Raises `SuperposError`.
    """
    path, model = _parts(text)
    run = load(path)
    if not run.complete:
        raise SuperposError(f"{path} is not finished; train it first")
    if model and int(model) >= run.n_models:
        raise SuperposError(f"{path} has no model {model}; allowed: 0 to {run.n_models - 1}")
    return run.digest()[:DIGITS], f":{int(model)}" if model else "", run


def _parts(text: str) -> tuple[Path, str]:
    """Folder and model of RUN or RUN:MODEL; the model is empty without one."""
    folder, colon, model = text.rpartition(":")
    whole = given(text)
    with explained("read", whole):
        named = bool(colon) and model.isdecimal() and not whole.exists()
    return (given(folder), model) if named else (whole, "")


def _twice(texts: Mapping[str, str], names: Mapping[str, str]) -> list[str]:
    """Two folders that hold the same run: its models would be trained twice."""
    first: dict[tuple[str, str], str] = {}
    faults = []
    for text, name in names.items():
        other = first.setdefault((texts[text], name), text)
        if other != text:
            faults.append(
                f"{texts[text]}: {other} and {text} are the same run; give one of the two"
            )
    return faults


def _renamed(sweep: Sweep, keys: list[str], names: Mapping[str, str]) -> Sweep:
    """The sweep with other values of these keys."""

    def renamed(key: str, value: Any) -> Any:
        return names.get(value, value) if key in keys else value

    base = {key: renamed(key, value) for key, value in sweep.base.items()}
    axes = [
        Axis(axis.keys, tuple(tuple(map(renamed, axis.keys, point)) for point in axis.values))
        for axis in sweep.axes
    ]
    return replace(sweep, base=base, axes=tuple(axes))


def needed(sweep: Sweep) -> Shared:
    """The files of a sweep that has no folder yet, made anew."""
    sources = read(sweep, None)
    files = sweep.family.shared(sweep.settings, sources)
    return {**sources, **{name: make() for name, make in files.items()}}


def read(sweep: Sweep, folder: RunFolder | None) -> Shared:
    """What a sweep takes of other runs: as its own folder keeps it, else read from those runs.

    Nothing is written.

    Raises `SuperposError` where another run that is needed cannot be read.
    """
    there = {} if folder is None else {name: folder.shared(name) for name, _ in _sources(sweep)}
    return {name: there.get(name) or make() for name, make in _sources(sweep)}


def keep(sweep: Sweep, folder: RunFolder, sources: Shared) -> Shared:
    """All files of a run: those that its folder holds, the others written there.

    Raises `SuperposError` where the folder cannot be written.
    """
    taken = {name: _kept(folder, name, partial(dict, tensors)) for name, tensors in sources.items()}
    files = sweep.family.shared(sweep.settings, sources)
    return taken | {name: _kept(folder, name, make) for name, make in files.items()}


def _kept(folder: RunFolder, name: str, make: Callable[[], Arrays]) -> Arrays:
    there: Mapping[str, Any] | None = folder.shared(name)
    if there is not None:
        return there
    made = make()
    folder.share(name, made)
    return made


def source_file(source: Source, digest: str) -> str:
    """Name of the shared file of what a key takes of a run."""
    return f"{source.key}-{digest}"


def _sources(sweep: Sweep) -> Iterator[tuple[str, Callable[[], Arrays]]]:
    """Name of the file and what reads it, for every other run that the sweep needs."""
    for source in sweep.family.sources:
        models: dict[str, set[str]] = {}
        keys = [source.key, source.model] if source.model else [source.key]
        for value, *number in sweep.combinations(keys):
            if sweep.schema.keys[source.key].names_run(value):
                digest, _, model = value.partition(":")
                models.setdefault(digest, set()).update(
                    [model] if model else map(str, number or [""])
                )
        for digest, named in sorted(models.items()):
            chosen = None if "" in named else sorted(map(int, named))
            yield source_file(source, digest), _reader(sweep, source, digest, chosen)


def _reader(
    sweep: Sweep, source: Source, digest: str, models: Sequence[int] | None
) -> Callable[[], Arrays]:
    def read() -> Arrays:
        if digest not in sweep.sources:
            raise SuperposError(
                f"{source.key}: the run of digest {digest} is needed, and where it lies is not "
                "known; give its folder"
            )
        return source.read(load(sweep.sources[digest]), models)

    return read
