"""The family of toy models, as the tests name its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from superpos.config import rules
from superpos.config.schema import schema_of
from superpos.engines import Choice, choose
from superpos.engines.reference import ReferenceEngine
from superpos.families.tms import FAMILY

SCHEMA = schema_of(FAMILY)
KEYS = SCHEMA.keys
DEFAULTS = SCHEMA.defaults
AXIS_KEYS = SCHEMA.axis_keys
TABLE_KEYS = tuple(key for key in AXIS_KEYS if not KEYS[key].later)
"""Columns of every table."""
LATER_KEYS = tuple(key for key in AXIS_KEYS if KEYS[key].later)
"""Columns that a run adds to a table that holds none, at its end."""
STRUCTURE_KEYS = SCHEMA.structure_keys
RULES = rules.rules_of(FAMILY)
canonical = SCHEMA.canonical


def check_row(row: Mapping[str, Any]) -> list[str]:
    """Faults of one model."""
    faults = [rule(*(row[key] for key in keys)) for keys, rule in RULES]
    return [fault for fault in faults if fault is not None]


def reference(*arguments: Any, **options: Any) -> ReferenceEngine:
    """The reference engine of toy models."""
    return ReferenceEngine(FAMILY, *arguments, **options)


def engine_of(structure: Any, *arguments: Any, **options: Any) -> Choice:
    """The engine that is chosen for a structure."""
    return choose(FAMILY, structure, *arguments, **options)
