"""Circuits made by hand, whose every part is known: gates, and attention-only transformers."""

from superpos.families.circuit.exhibits import SHOWS
from superpos.families.circuit.keys import KEYS
from superpos.families.circuit.rules import RULES
from superpos.families.circuit.work import work
from superpos.family import Family, Late

_HERE = "superpos.families.circuit"

FAMILY = Family(
    name="circuit",
    # asks
    keys=KEYS,
    rules=RULES,
    defaults={"train.steps": 0, "record.loss_every": 0},
    settings=Late(f"{_HERE}.settings:Settings"),
    task=Late(f"{_HERE}.settings:task"),
    # trains
    work=work,
    init=Late(f"{_HERE}.model:build"),
    build=Late(f"{_HERE}.model:build"),
    batch=Late(f"{_HERE}.model:batch"),
    sample=Late(f"{_HERE}.model:sample"),
    forward=Late(f"{_HERE}.model:forward"),
    patched=Late(f"{_HERE}.patched:patched"),
    losses=Late(f"{_HERE}.model:losses"),
    # results
    loss="−log of the probability of the answer; of gates, of the likelier of off and on",
    evaluation_samples=256,
    measure=Late(f"{_HERE}.model:measure"),
    some_columns=Late(f"{_HERE}.model:some_columns"),
    # shows
    shows=SHOWS,
)
