"""docs/keys.md: every config key, from the schema. `python tests/keys.py > docs/keys.md` writes it anew."""

from __future__ import annotations

import sys

from tms import SCHEMA

from superpos.config.schema import KeySpec
from superpos.config.wording import show

HEAD = """# Keys

Every setting of a model and of its training: `superpos train KEY=VALUE`, or `KEY=V1,V2,...` for a sweep. All but
{not_swept} may be swept. Values that do not fit together are refused with a reason.
"""
AXES = SCHEMA.axis_keys
ROW = "| `{key}` | {default} | {allowed} | {doc} |"


def markdown() -> str:
    """The whole document: a table for each group of keys, in the order of the schema."""
    engine = [f"`{group}.*`" for group in SCHEMA.groups if not any(key.startswith(f"{group}.") for key in AXES)]
    others = [f"`{key}`" for key in SCHEMA.keys if "." not in key and key not in AXES]
    not_swept = ", ".join([*others[:-1], f"{others[-1]} and {' and '.join(engine)}"])
    parts = [HEAD.format(not_swept=not_swept)]
    for group, doc in SCHEMA.words.items():
        keys = [spec for key, spec in SCHEMA.keys.items() if key.rpartition(".")[0] == group]
        parts.append("\n".join([f"## {group or 'Others'}", "", doc, "", *table(keys)]) + "\n")
    return "\n".join(parts)


def table(specs: list[KeySpec]) -> list[str]:
    """A row a key."""
    rows = [
        ROW.format(key=spec.key, default=default(spec), allowed=allowed(spec), doc=escaped(spec.doc)) for spec in specs
    ]
    return ["| key | default | allowed | |", "|---|---|---|---|", *rows]


def default(spec: KeySpec) -> str:
    """The default as the command line has it."""
    value = spec.default if isinstance(spec.default, str) else show(spec.default)
    return f"`{value}`"


def allowed(spec: KeySpec) -> str:
    """What a value may be, with its unit."""
    unit = f" ({spec.unit})" if spec.unit else ""
    return escaped(spec.allowed.replace("; or null", unit + "; or null", 1) if spec.null else spec.allowed + unit)


def escaped(text: str) -> str:
    """Text in a cell of a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
