"""Options of a site: what sbatch must know to run a shard there."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from superpos.config.wording import did_you_mean, show
from superpos.errors import ConfigError


@dataclass(frozen=True)
class Site:
    """What is asked for each shard; None leaves it to the site."""

    partition: str | None = None
    account: str | None = None
    time: str | None = None
    cpus: int | None = None
    memory: str | None = None
    gpus: str | None = None
    max_parallel: int | None = None
    extra: tuple[str, ...] = ()
    setup: tuple[str, ...] = ()


_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._,-]*")
_PATTERNS = {  # key: (pattern of the whole value, in words)
    "partition": (_WORD, "letters, digits and ._,-"),
    "account": (_WORD, "letters, digits and ._,-"),
    "time": (
        re.compile(r"\d+|\d+:\d\d(:\d\d)?|\d+-\d+(:\d\d){0,2}"),
        "a text such as '1:30:00', [days-]hours:minutes:seconds, or minutes",
    ),
    "cpus": (re.compile(r"[1-9]\d{0,4}"), "a number from 1"),
    "memory": (re.compile(r"[1-9]\d*[KMGT]?"), "a number with K, M, G or T"),
    "gpus": (re.compile(r"([A-Za-z0-9._-]+:)?[1-9]\d*"), "a number from 1, or type:number"),
    "max_parallel": (re.compile(r"[1-9]\d{0,5}"), "a number from 1"),
}
_NUMBERS = ("cpus", "max_parallel")
_EXTRA = re.compile(r"-{1,2}[A-Za-z][A-Za-z0-9-]*([= ][^\s'\"`$;&|<>\\]+)?")


def site_files(config_dir: Path | None, shipped: Path) -> dict[str, Path]:
    """{name: YAML file} of the sites that ship with superpos and of a user's own in `config_dir`/cluster."""
    folders = [shipped, *([config_dir] if config_dir else [])]
    return {path.stem: path for folder in folders for path in sorted((folder / "cluster").glob("*.yaml"))}


def read_site(path: Path, changes: Mapping[str, Any]) -> Site:
    """The options in a YAML file with some of them changed; None in `changes` changes nothing.

    Raises:
        ConfigError: every wrong key and value, and every value that could be more than it says.
    """
    content = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: got {show(content)}; allowed: keys with values")
    known = [field.name for field in fields(Site)]
    faults = [f"{path}: unknown key {key}; {did_you_mean(str(key), known)}" for key in content if key not in known]
    given = {key: value for key, value in content.items() if key in known}
    given |= {key: value for key, value in changes.items() if value is not None}
    values: dict[str, Any] = {}
    for key, value in given.items():
        if value is None:
            continue
        try:
            values[key] = _lines(value, key) if key in ("extra", "setup") else _value(value, key)
        except ValueError as fault:
            faults.append(f"{key}: {fault}")
    if faults:
        raise ConfigError(faults)
    return Site(**values)


def _value(value: Any, key: str) -> str | int:
    pattern, words = _PATTERNS[key]
    if key == "time" and not isinstance(value, str):  # YAML reads 1:30:00 as 5400, which would be minutes
        raise ValueError(f"got {show(value)}; allowed: {words}")
    if isinstance(value, bool) or not isinstance(value, str | int) or not pattern.fullmatch(str(value)):
        raise ValueError(f"got {show(value)}; allowed: {words}")
    return int(value) if key in _NUMBERS else str(value)


def _lines(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError(f"got {show(value)}; allowed: a list of texts")
    for line in value:
        if not line.isprintable():  # a newline would begin another line of the script
            raise ValueError(f"got {show(line)}; allowed: one line each, without control characters")
        if key == "extra" and not _EXTRA.fullmatch(line):
            raise ValueError(f"got {show(line)}; allowed: an option of sbatch such as --constraint=icelake")
    return tuple(value)


def limit_minutes(time: str) -> int:
    """A time of SLURM in whole minutes, rounded up: "90", "90:00", "1:30:00", "1-12", "1-12:30", "1-12:30:00"."""
    days, dash, rest = time.rpartition("-")
    numbers = [int(number) for number in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    return int(days or 0) * 1440 + hours * 60 + minutes + (seconds > 0)
