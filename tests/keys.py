"""docs/keys.md: every config key, from the schema.

`python tests/keys.py > docs/keys.md` writes it anew.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import fields

from superpos.compose import own
from superpos.config import schema
from superpos.config.schema import KeySpec, Schema, schema_of
from superpos.config.wording import show
from superpos.family import DEFAULT, Family, find, names, ships

HEAD = """# Keys

Every setting of a model and of its training: `superpos train KEY=VALUE`, or `KEY=V1,V2,...` for a
sweep. All but {not_swept} may be swept. Values that do not fit together are refused with a reason.
"""
ROW = "| `{key}` | {default} | {allowed} | {doc} |"
SHARED = {
    f"{group}.{leaf.name}" for group, config in schema.SHARED.items() for leaf in fields(config)
} | {leaf.name for leaf in fields(schema.RunConfig)}


def markdown() -> str:
    """The whole document: for each family its own keys, group by group in the order of the schema,
    then the shared.
    """
    common = schema_of(find(DEFAULT))
    parts = [HEAD.format(not_swept=not_swept(common))]
    for family in map(find, filter(ships, names())):
        doc = str(importlib.import_module(f"superpos.families.{family.name}").__doc__)
        about = " ".join(doc.partition("\n\n")[0].split())
        parts.append(f"## family={family.name}\n\n{about}{own_defaults(family)}\n")
        parts += groups(
            schema_of(family), {key for key in schema_of(family).keys if key not in SHARED}
        )
    parts.append("## Every family\n")
    parts += groups(common, SHARED)
    parts.append("## Functions of one's own\n")
    return "\n".join([*parts, *groups(own.SCHEMA, set(own.SCHEMA.keys))])


def not_swept(common: Schema) -> str:
    """The keys that are the same for a whole run."""
    engine = [
        f"`{group}.*`"
        for group in common.groups
        if not any(_in(group, key) for key in common.axis_keys)
    ]
    others = [f"`{key}`" for key in common.keys if "." not in key and key not in common.axis_keys]
    return ", ".join([*others[:-1], f"{others[-1]} and {' and '.join(engine)}"])


def own_defaults(family: Family) -> str:
    """What a family says of keys of every family."""
    said = [
        f"`{key}={show(value) if not isinstance(value, str) else value}`"
        for key, value in family.defaults.items()
    ]
    return f" Of the keys of every family its defaults are {', '.join(said)}." if said else ""


def groups(of: Schema, keys: set[str]) -> list[str]:
    """A table for each group that has some of the keys."""
    found = []
    for group, doc in of.words.items():
        specs = [spec for key, spec in of.keys.items() if key in keys and _in(group, key)]
        if specs:
            found.append("\n".join([f"### {group or 'Others'}", "", doc, "", *table(specs)]) + "\n")
    return found


def _in(group: str, key: str) -> bool:
    return key.rpartition(".")[0] == group


def table(specs: list[KeySpec]) -> list[str]:
    """A row a key."""
    rows = [
        ROW.format(
            key=spec.key,
            default=f"`{spec.written_default}`",
            allowed=escaped(spec.described),
            doc=escaped(spec.doc),
        )
        for spec in specs
    ]
    return ["| key | default | allowed | |", "|---|---|---|---|", *rows]


def escaped(text: str) -> str:
    """Text in a cell of a table."""
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(markdown())
