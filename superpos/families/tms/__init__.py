"""The toy models of superposition of Elhage et al. 2022: tied and untied, with linear and ReLU
hidden layers.
"""

from operator import attrgetter

from superpos.families.tms.exhibits import SHOWS
from superpos.families.tms.keys import DEFAULT_SPARSITY, KEYS
from superpos.families.tms.rules import RULES
from superpos.families.tms.work import work
from superpos.family import ExactLoss, Family, Label, Late

_HERE = "superpos.families.tms"

FAMILY = Family(
    name="tms",
    # asks
    keys=KEYS,
    rules=RULES,
    instead={"data.sparsity": "data.density", "data.density": "data.sparsity"},
    unsaid={"data.sparsity": DEFAULT_SPARSITY},
    settings=Late(f"{_HERE}.settings:Settings"),
    task=Late(f"{_HERE}.settings:task"),
    # trains
    work=work,
    init=Late(f"{_HERE}.model:initial_params"),
    batch=Late(f"{_HERE}.drawn:batch"),
    sample=Late(f"{_HERE}.drawn:sample"),
    forward=Late(f"{_HERE}.model:forward"),
    directions=Late(f"{_HERE}.model:directions"),
    one_layer=Late(f"{_HERE}.one_layer:one_layer"),
    output_loss=Late(f"{_HERE}.model:output_loss"),
    losses=Late(f"{_HERE}.model:losses"),
    penalty=Late(f"{_HERE}.model:penalty"),
    after_step=Late(f"{_HERE}.model:after_step"),
    frozen=attrgetter("frozen"),
    undecayed=attrgetter("undecayed"),
    engines={"cpu": Late(f"{_HERE}.cpu:FusedCpuEngine"), "cuda": Late(f"{_HERE}.gpu:on_cuda")},
    # results
    loss="E Σᵢ Iᵢ (targetᵢ − x'ᵢ)²",
    exact_loss=ExactLoss(
        known=Late(f"{_HERE}.exact_loss:has_exact_loss"),
        work=Late(f"{_HERE}.exact_loss:exact_work"),
        loss=Late(f"{_HERE}.exact_loss:exact_loss"),
    ),
    measure=Late(f"{_HERE}.measure:measure"),
    some_columns=Late(f"{_HERE}.measure:some_columns"),
    label=Label("geometry", "geometries"),
    follows=Late(f"{_HERE}.analysis.points:follows"),
    # shows
    shows=SHOWS,
    # a user's own functions
    with_functions=Late(f"{_HERE}.own:with_functions"),
    try_functions=Late(f"{_HERE}.trial:try_functions"),
)
