"""Values without quotes in a user's YAML that mean something else there than on the command line.

YAML 1.1 reads 010 as 8, 1:30 as 90 and yes as true; Hydra's grammar reads all three as text. One
text is one value, or it is refused. OmegaConf's ??? is a value that is missing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import OmegaConf

from superpos.compose.grammar import parser
from superpos.config.wording import show

_SAME: Final = re.compile(
    r"[-+]?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?|true|false|null"
    r"|(?!(?i:y|n|yes|no|on|off|nan|inf|true|false|null)$)[A-Za-z_][\w.,/ -]*"
)
"""What most values are, and both read alike."""
_RESOLVER: Final = yaml.SafeLoader("")
_TEXT: Final = object()  # of the command line: no single value without quotes


def ambiguous(experiment: str, files: Mapping[str, Path]) -> list[str]:
    """The faults of an experiment and of those that it extends, as far as they are among the
    `files`.

    Raises `OSError`, `UnicodeError` and `yaml.YAMLError`.
    """
    faults: list[str] = []
    to_read = [experiment]
    seen = set[str]()
    while to_read:
        name = to_read.pop()
        if name in seen or name not in files:
            continue
        seen.add(name)
        root = yaml.compose(files[name].read_text(encoding="utf-8"), Loader=yaml.SafeLoader)
        if root is not None:
            faults += [f"experiment {name}: {fault}" for fault in _faults(root)]
            to_read += _extended(root)
    return faults


def _extended(root: yaml.Node) -> list[str]:
    """Names in the list `defaults:` of a file."""
    pairs = root.value if isinstance(root, yaml.MappingNode) else []
    lists = [value for key, value in pairs if key.value == "defaults"]
    return [node.value for value in lists for node in _scalars(value)]


def _faults(root: yaml.Node) -> Iterator[str]:
    grammar = parser()
    for node in _scalars(root):
        # OmegaConf leaves the default in the place of this text, quoted or not
        if node.value == "???":
            yield f"line {node.start_mark.line + 1}: ??? is no value; write one, or leave it out"
            continue
        if not _is_plain(node) or _SAME.fullmatch(node.value) or "${" in node.value:
            continue
        in_yaml = OmegaConf.create(f"x: {node.value}").x
        on_line = _on_command_line(grammar, node.value)
        if not _equal(in_yaml, on_line):
            yield f"line {node.start_mark.line + 1}: {_words(node.value, in_yaml, on_line)}"


def _is_plain(node: yaml.ScalarNode) -> bool:
    """Whether a value stands without quotes and without a tag that says its type; `<<` is no
    value.
    """
    read = _RESOLVER.resolve(yaml.ScalarNode, node.value, (True, False))  # type: ignore[no-untyped-call]
    return node.style is None and node.tag == read != "tag:yaml.org,2002:merge"


def _scalars(root: yaml.Node) -> Iterator[yaml.ScalarNode]:
    """All values and keys in a file, in its order; what aliases name comes once."""
    left = [root]
    seen = set[int]()
    while left:
        node = left.pop()
        if id(node) in seen:
            continue
        seen.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            yield node
        elif isinstance(node, yaml.SequenceNode):
            left += reversed(node.value)
        elif isinstance(node, yaml.MappingNode):
            left += reversed([part for pair in node.value for part in pair])


def _on_command_line(grammar: OverridesParser, text: str) -> Any:
    """What KEY=TEXT gives a key there; `_TEXT` where it must stand in quotes, or gives several
    values.
    """
    try:
        [override] = grammar.parse_overrides([f"x={text}"])
    except HydraException:
        return _TEXT
    return _TEXT if override.is_sweep_override() else override.value()


def _equal(in_yaml: Any, on_line: Any) -> bool:
    """Whether both are the same value; texts are, as one that stands in quotes is what it is in
    YAML.

    Infinity and NaN, however they are written, are values of no key.
    """
    if any(isinstance(value, float) and not math.isfinite(value) for value in (in_yaml, on_line)):
        return True
    if isinstance(in_yaml, str):
        return on_line is _TEXT or isinstance(on_line, str)
    if isinstance(in_yaml, bool) or isinstance(on_line, bool):
        return in_yaml is on_line
    return bool(in_yaml == on_line)


def _words(text: str, in_yaml: Any, on_line: Any) -> str:
    if not text:
        return "an empty value; write null"
    there = "a text" if on_line is _TEXT or isinstance(on_line, str) else show(on_line)
    here = "a text" if isinstance(in_yaml, str) else show(in_yaml)
    plain = show(on_line if isinstance(in_yaml, str) else in_yaml)
    return (
        f"{text} is {here} in YAML and {there} on the command line; write {plain}, or '{text}' in "
        "quotes"
    )
