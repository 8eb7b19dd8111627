"""The overrides of a command line, in Hydra's grammar, as typed values and axes."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

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

from superpos.compose.experiments import NONE, Experiments, forgotten_folder
from superpos.compose.forms import forms, unclosed
from superpos.compose.grammar import parser
from superpos.config.schema import Schema, unknown_key
from superpos.config.spacing import SPACINGS, Axes, check_axis, spaced
from superpos.config.wording import did_you_mean, nearest, show
from superpos.errors import ConfigError

_EXPERIMENT: Final = "experiment"
# or a package or group of Hydra's
_KEY_AT_ALL: Final = re.compile(r"[+~]*[A-Za-z_]\w*([./@][A-Za-z_]\w*)*", re.ASCII)


_FUNCTIONS: Final = {
    "range": "range(STOP), range(START,STOP) or range(START,STOP,STEP)",
    **{kind: f"{kind}(START,STOP,COUNT)" for kind in SPACINGS},
    "choice": "choice(V1,V2)",
    "sort": "sort(V1,V2)",
    **{kind: f"{kind}(VALUE)" for kind in ("int", "float", "bool", "str")},
}
"""The functions that values may be made of, as they are written."""


@dataclass
class Given:
    """What the overrides say."""

    experiment: str | None = None
    # single values by key, as Hydra's grammar types them
    values: dict[str, Any] = field(default_factory=dict)
    axes: Axes = field(default_factory=dict)
    # all that are given, also where the values are at fault
    keys: set[str] = field(default_factory=set)
    faults: list[str] = field(default_factory=list)
    # of values that are at fault: what was probably meant
    hints: dict[str, str] = field(default_factory=dict)
    # every override by key, as it was given
    texts: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class _Known:
    """What overrides are read with."""

    parser: OverridesParser
    files: Sequence[str]
    users: Experiments
    schema: Schema

    @property
    def keys(self) -> list[str]:
        return [*self.schema.keys, _EXPERIMENT]


def read_overrides(
    overrides: Sequence[str], files: Iterable[str], schema: Schema, users: Experiments = NONE
) -> Given:
    """What the overrides say, with every fault.

    `files` are the names of all experiments, and `users` say why a file of the user is none.
    """
    given = Given()
    known = _Known(parser(), list(files), users, schema)
    left = list(overrides)
    while left:
        text = left.pop(0)
        try:
            wrong = _read(text, given, known)
            faults = []
        except ConfigError as error:
            wrong = None
            faults = error.faults
        if not faults and wrong is None:
            continue
        if joined := _joined(text, left, known):
            words, form = joined
            del left[: len(words) - 1]
            given.values.pop(wrong or "", None)
            given.faults.append(f"{' '.join(words)}: not KEY=VALUE; did you mean {form}?")
            continue
        hint = _hint(text, known)
        given.faults += [fault if "did you mean" in fault else fault + hint for fault in faults]
        if wrong is not None:
            given.hints[wrong] = hint
    given.faults += [
        _repeated(key, texts, known) for key, texts in given.texts.items() if len(texts) > 1
    ]
    return given


def meant(words: Sequence[str], files: Iterable[str], schema: Schema) -> str | None:
    """The override that words of a command line may stand for; None where they stand for none."""
    return _meant(" ".join(words), _Known(parser(), list(files), NONE, schema))


def _read(text: str, given: Given, known: _Known) -> str | None:
    """Adds one override to `given`; the key of a single value that is at fault.

    ConfigError: it is refused.
    """
    try:
        [override] = known.parser.parse_overrides([_with_quoted_homes(text, known.schema)])
    except HydraException as error:
        raise ConfigError(_grammar_fault(text, str(error), known)) from error
    return _read_override(text, override, given, known)


def _hint(text: str, known: _Known) -> str:
    """What was probably meant, in words that go on from a fault."""
    form = _meant(text, known)
    return f"; did you mean {form}?" if form else ""


def _meant(text: str, known: _Known) -> str | None:
    """The first form of a text that has no fault."""
    return next((form for form in forms(text, known.keys) if _is_sound(form, known)), None)


def _is_sound(text: str, known: _Known) -> bool:
    """Whether an override alone has no fault."""
    try:
        return _read(text, Given(), known) is None
    except ConfigError:
        return False


def _is_value(schema: Schema, key: str, value: Any) -> bool:
    try:
        schema.canonical(key, value)
    except ValueError:
        return False
    return True


def _joined(text: str, after: Sequence[str], known: _Known) -> tuple[list[str], str] | None:
    """The words that a shell made of one override with blanks in it, and its form; None where it is
    none.
    """
    for count in (2, 1):
        words = [text, *after[:count]]
        if len(words) <= count or any("=" in word[1:] for word in words[1:]):
            continue
        if form := _meant(" ".join(words), known):
            return words, form
    return None


def _repeated(key: str, texts: Sequence[str], known: _Known) -> str:
    times = "twice" if len(texts) == 2 else f"{len(texts)} times"
    form = f"{key}={','.join(text.partition('=')[2] for text in texts)}"
    hint = f"; did you mean {form}?" if key != _EXPERIMENT and _is_sound(form, known) else ""
    return f"{texts[-1]}: {key} is given {times}; give it once{hint}"


def _with_quoted_homes(text: str, schema: Schema) -> str:
    """The override with quotes around folders of runs that begin with `~`, which has no place in
    Hydra's grammar.
    """
    key, equals, values = text.partition("=")
    if key not in schema.keys or schema.keys[key].kind != "run" or set(values) & {"'", '"'}:
        return text
    folders = [f"'{value}'" if value.startswith("~") else value for value in values.split(",")]
    return key + equals + ",".join(folders)


def _grammar_fault(text: str, message: str, known: _Known) -> str:
    key, equals, _ = text.partition("=")
    if not equals or not key.strip():
        leaves = [name for name in known.keys if name.rpartition(".")[2] == text]
        meant = [text] if text in known.keys else leaves
        if len(meant) == 1:
            return f"{text}: not KEY=VALUE; write {meant[0]}=VALUE"
        if any(name.startswith(f"{text}.") for name in known.keys):
            return f"{text}: not KEY=VALUE; write {text}.KEY=VALUE, of `superpos keys {text}.`"
        guess = nearest(text, known.files)
        return f"{text or repr(text)}: not KEY=VALUE" + (
            f"; did you mean experiment={guess}?" if guess else ""
        )
    if evaluated := re.search(r"(\w+) while evaluating '((\w+)\(.*?\))': (.*)", message, re.DOTALL):
        return _function_fault(text, *evaluated.groups())
    return (
        f"{text}: not Hydra's grammar: {_reason(text, message)}; allowed: KEY=VALUE, KEY=V1,V2, "
        "range(START,STOP)"
    )


def _function_fault(text: str, error: str, call: str, name: str, message: str) -> str:
    """What is wrong with a function in a value."""
    if name not in _FUNCTIONS:
        return f"{text}: Unknown function {name!r}; {did_you_mean(name, list(_FUNCTIONS))}"
    if name in SPACINGS and error == "ValueError":
        return f"{text.partition('=')[0]}: {message.splitlines()[0]}"
    return f"{text}: got {call}; allowed: {_FUNCTIONS[name]}"


def _reason(text: str, message: str) -> str:
    """What Hydra's parser says, without the names of its tokens."""
    key = text.partition("=")[0]
    if not _KEY_AT_ALL.fullmatch(key):
        joined = (
            "; several keys move together in a file, which superpos new begins"
            if "," in key
            else ""
        )
        return f"{key!r} is no key{joined}"
    if bracket := unclosed(text):
        return f"a bracket {bracket} without its other half"
    if "LexerNoViableAltException" in message:
        return "a character that must stand in quotes (KEY='VALUE'), or a quote that is not closed"
    lines = [
        line
        for line in message.splitlines()
        if line and not line.startswith(("Error parsing", "See https"))
    ]
    return re.sub(r" expecting (\{.*\}|<EOF>|[A-Z_]+)", "", "; ".join(lines)).replace(
        "'<EOF>'", "at the end"
    )


def _read_override(text: str, override: Override, given: Given, known: _Known) -> str | None:
    """As `_read`, of an override in Hydra's form."""
    key = override.key_or_group
    schema = known.schema
    if override.type != OverrideType.CHANGE:
        raise ConfigError(
            f"{text}: + and ~ are refused; every key has a default: write {key}=VALUE"
        )
    if not key:
        raise ConfigError(f"{text}: not KEY=VALUE")
    if key == "sweep" or key.startswith("sweep."):
        raise ConfigError(
            f"{text}: sweep is for YAML files; on the command line give a key its values: KEY=V1,V2"
        )
    if key in given.texts:
        given.texts[key].append(text)
        return None
    given.texts[key] = [text]
    if key == _EXPERIMENT and not override.package:
        given.experiment = _experiment(text, override, known)
        return None
    _check_key(override, key, schema)
    given.keys.add(key)
    if override.is_sweep_override():
        given.axes[(key,)] = check_axis(
            schema, (key,), [(value,) for value in _swept_values(text, override)]
        )
        return None
    value = override.value()
    if schema.keys[key].kind == "name" and (value is None or isinstance(value, bool | float)):
        value = text.partition("=")[2]  # 1.10, true and null are names, too
    given.values[key] = value
    return None if _is_value(schema, key, value) else key


def _check_key(override: Override, key: str, schema: Schema) -> None:
    if override.package or (key not in schema.keys and key not in schema.groups):
        raise ConfigError(
            unknown_key(
                schema, f"{key}@{override.package}" if override.package else key, schema.keys
            )
        )
    if key in schema.groups:
        members = ", ".join(name for name in schema.keys if name.startswith(f"{key}."))
        raise ConfigError(f"{key}: a group of keys; allowed: {members}")


def _experiment(text: str, override: Override, known: _Known) -> str:
    """The name of an experiment: its text as it stands, as 1e3, null and 007 are names, too."""
    if override.is_sweep_override():
        raise ConfigError(
            "experiment: one experiment a run, as each has its own folder; run superpos once for "
            "each"
        )
    name = text.partition("=")[2].strip()
    if name.startswith(("'", '"')):
        name = str(override.value())
    if name in known.files:
        return name
    if reason := known.users.reason(name):
        raise ConfigError(f"experiment: there is no {show(name)}: {reason}")
    if folder := forgotten_folder(name):
        raise ConfigError(
            f"experiment: there is no {show(name)} but in {folder}/experiment; add --config-dir "
            f"{folder}"
        )
    guess = nearest(name, sorted(known.files))
    meant = f"did you mean {guess}? " if guess else ""
    raise ConfigError(
        f"experiment: there is no {show(name)}; {meant}allowed: what `superpos list` shows"
    )


def _swept_values(text: str, override: Override) -> Sequence[Any]:
    """Values of a sweeping override.

    ConfigError: a kind of sweep without one fixed list of values.
    """
    key = override.key_or_group
    sweep = override.value()
    if isinstance(sweep, IntervalSweep):
        raise ConfigError(
            f"{text}: interval() has no fixed values; allowed: {key}=V1,V2, choice(...) or "
            "range(...)"
        )
    if isinstance(sweep, Glob):
        raise ConfigError(
            f"{text}: glob() chooses configs, not values; allowed: {key}=V1,V2, choice(...) or "
            "range(...)"
        )
    if getattr(sweep, "shuffle", False):
        raise ConfigError(f"{text}: shuffle() would give every run another order; leave it out")
    if isinstance(sweep, RangeSweep):
        try:
            return spaced("range", [sweep.start or 0, sweep.stop or 0, sweep.step])
        except ValueError as error:
            raise ConfigError(f"{key}: {error}") from error
    return [value.text if isinstance(value, QuotedString) else value for value in sweep.list]  # type: ignore[union-attr]  # a ChoiceSweep
