"""Options of a site: what sbatch must know to run a shard there."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import yaml

from superpos.config.wording import did_you_mean, show
from superpos.errors import ConfigError
from superpos.paths import given


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
    qos: str | None = None
    constraint: str | None = None
    mem_per_cpu: str | None = None
    mail_user: str | None = None
    mail_type: str | None = None


_MAIL = "END,FAIL"  # SLURM's own default is no mail, whoever is named
_NAME = (
    re.compile(r"[^\s'\"`$;&|<>()\\#-][^\s'\"`$;&|<>()\\#]*"),
    "a name without blanks, quotes and $;&|<>()\\#",
)
_AMOUNT = (
    re.compile(r"\d+([KMGT]B?)?", re.IGNORECASE),
    "a number with K, M, G or T; 0: all that there is",
)
_PATTERNS = {  # key: (pattern of the whole value, in words)
    "partition": _NAME,
    "account": _NAME,
    "qos": _NAME,
    "mail_user": _NAME,
    "mail_type": (re.compile(r"\w+(,\w+)*"), "kinds of mail such as END,FAIL"),
    "constraint": (
        re.compile(r"[^\s'\"`$;<>\\#-][^\s'\"`$;<>\\#]*"),
        "features such as icelake, or [a|b]&c",
    ),
    "time": (
        re.compile(r"\d+(:\d{1,2}){0,2}|\d+-\d*(:\d{1,2}){0,2}|unlimited|infinite", re.IGNORECASE),
        "a text such as '1:30:00', [days-]hours:minutes:seconds, minutes, or UNLIMITED",
    ),
    "cpus": (re.compile(r"[1-9]\d{0,4}"), "a number from 1"),
    "memory": _AMOUNT,
    "mem_per_cpu": _AMOUNT,
    "gpus": (re.compile(r"([\w.+-]+:)?[1-9]\d*"), "a number from 1, or type:number"),
    "max_parallel": (re.compile(r"[1-9]\d{0,5}"), "a number from 1"),
}
_NUMBERS = ("cpus", "max_parallel")
_EXCLUSIVE = ("memory", "mem_per_cpu")
_EXTRA = re.compile(
    r"(--[A-Za-z][A-Za-z0-9-]*|-[A-Za-z])(?:([= ])([^`$;<>\\]+)|([^\s'\"`$;&|<>\\=]*))"
)

_TAG = "tag:yaml.org,2002:"
_KEPT_TAGS = (f"{_TAG}null", f"{_TAG}bool")


def site_files(config_dir: Path | None, shipped: Path) -> dict[str, Path]:
    """{name: YAML file} of the sites that ship with superpos and of a user's own in
    `config_dir`/cluster.
    """
    folders = [shipped, *([config_dir] if config_dir else [])]
    paths = [path for folder in folders for path in sorted((folder / "cluster").glob("*.yaml"))]
    return {path.stem: path for path in paths if not path.name.startswith(".")}


def check_suffix(name: str, config_dir: Path | None) -> None:
    """Raises `ConfigError` where the site of this name is a file of another suffix."""
    other = config_dir / "cluster" / f"{name}.yml" if config_dir else None
    if other and other.exists() and not other.with_suffix(".yaml").exists():
        raise ConfigError(f"--cluster: {other} is not read; name it {name}.yaml")


def read_site(path: Path, changes: Mapping[str, Any]) -> Site:
    """The options in a YAML file with some of them changed; None in `changes` changes nothing.

    Raises:
        ConfigError: a file that cannot be read, every wrong key and value, and every value that
            could be more than it says.
    """
    content = _content(path)
    known = [field.name for field in fields(Site)]
    faults = [
        f"{path}: unknown key {key}; {did_you_mean(str(key), known)}"
        for key in content
        if key not in known
    ]
    asked = {key: value for key, value in changes.items() if value is not None}
    given = {key: value for key, value in content.items() if key in known and value is not None}
    if not asked.keys().isdisjoint(_EXCLUSIVE):  # what is asked for takes the place of either
        given = {key: value for key, value in given.items() if key not in _EXCLUSIVE}
    where = {key: f"{path}: {key}" for key in given} | {
        key: f"--{key.replace('_', '-')}" for key in asked
    }
    values: dict[str, Any] = {}
    for key, value in (given | asked).items():
        try:
            values[key] = _lines(value, key) if key in ("extra", "setup") else _value(value, key)
        except ValueError as fault:
            faults.append(f"{where[key]}: {fault}")
    if all(key in given | asked for key in _EXCLUSIVE):
        faults.append(f"{where['mem_per_cpu']}: given beside memory; give one of the two")
    if faults:
        raise ConfigError(faults)
    return Site(**({"mail_type": _MAIL} if "mail_user" in values else {}) | values)


class _Loader(yaml.SafeLoader):
    """YAML whose numbers are those of people: 1:30:00 is a time, and 010 a text, not a number to
    another base.
    """


_Loader.yaml_implicit_resolvers = {
    first: [pair for pair in pairs if pair[0] in _KEPT_TAGS]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(f"{_TAG}int", re.compile(r"(0|-?[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver(f"{_TAG}float", re.compile(r"-?[0-9]+\.[0-9]*$"), list("-0123456789"))


def _content(path: Path) -> dict[Any, Any]:
    """What a site file says. Raises `ConfigError`."""
    try:
        content = yaml.load(path.read_bytes(), _Loader) or {}  # a SafeLoader
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, ValueError, RecursionError) as error:
        reason = "; ".join(line.strip() for line in str(error).splitlines())
        raise ConfigError(f"{path}: is not YAML in UTF-8: {reason}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path}: got {show(content)}; allowed: keys with values")
    return content


def _value(value: Any, key: str) -> str | int:
    pattern, words = _PATTERNS[key]
    text = str(value)
    if isinstance(value, bool) or not isinstance(value, str | int) or not pattern.fullmatch(text):
        raise ValueError(f"got {show(value)}; allowed: {words}")
    if not text.isprintable():
        raise ValueError(f"got {show(value)}; allowed: no control characters")
    return int(value) if key in _NUMBERS else text


def _lines(value: Any, key: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(line, str) for line in value):
        raise ValueError(f"got {show(value)}; allowed: a list of texts")
    for line in value:
        if not line.isprintable():  # a newline would begin another line of the script
            raise ValueError(
                f"got {show(line)}; allowed: one line each, without control characters"
            )
        if key == "extra":
            one_word(line)
    return tuple(value)


def one_word(line: str) -> str:
    """An option of sbatch as one word: "--qos low" and "-q low" are "--qos=low" and "-qlow".

    A value that begins with ~ is a path: no shell puts the home folder in its place. Raises
    `ValueError`.
    """
    found = _EXTRA.fullmatch(line)
    if not found:
        raise ValueError(
            f"got {show(line)}; allowed: an option of sbatch such as --constraint=icelake"
        )
    name, _, value, attached = found.groups()
    if value is None:
        return f"{name}{attached}"
    quoted = re.fullmatch(r"""(["'])(.*)\1""", value)
    plain = quoted[2] if quoted else value
    if plain.startswith("~"):
        plain = str(_path(plain))
    return f"{name}{'=' if name.startswith('--') else ''}{plain}"


def _path(text: str) -> Path:
    try:
        return given(text)
    except ConfigError as error:
        raise ValueError(str(error)) from error


def limit_minutes(time: str) -> float:
    """A time of SLURM in whole minutes, rounded up; infinity for 0, UNLIMITED and INFINITE.

    "90", "90:00", "1:30:00", "1-12", "1-12:30" and "1-12:30:00" are minutes, and
    days-hours:minutes:seconds.
    """
    if not time[:1].isdigit():
        return math.inf
    days, dash, rest = time.rpartition("-")
    numbers = [int(number or 0) for number in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
    elif len(numbers) == 3:
        hours, minutes, seconds = numbers
    else:
        hours, (minutes, seconds) = 0, (*numbers, 0)[:2]
    total = int(days or 0) * 1440 + hours * 60 + minutes + math.ceil(seconds / 60)
    return total or math.inf


def memory_bytes(amount: str) -> float:
    """Memory as SLURM has it, "4G", "500mb" or a number of MB, in bytes; infinity for 0, all that
    there is.
    """
    number, unit = re.fullmatch(r"(\d+)(\w?)\w?", amount).groups()  # type: ignore[union-attr]  # it was checked
    return int(number) * 1024.0 ** ("KMGT".index(unit.upper() or "M") + 1) or math.inf
