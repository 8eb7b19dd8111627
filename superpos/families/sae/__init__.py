"""Sparse autoencoders that look for features that are known: those of synthetic worlds and of other
runs' models.
"""

from superpos.families.sae.exhibits import SHOWS
from superpos.families.sae.keys import KEYS
from superpos.families.sae.rules import RULES
from superpos.families.sae.work import work
from superpos.family import Family, Late, Source

_HERE = "superpos.families.sae"

FAMILY = Family(
    name="sae",
    # asks
    keys=KEYS,
    rules=RULES,
    defaults={
        "train.optimizer": "adam",
        "train.weight_decay": 0.0,
        "train.decay_share": 0.2,
        "train.reduction": "sum",
    },
    settings=Late(f"{_HERE}.settings:Settings"),
    task=Late(f"{_HERE}.settings:task"),
    sources=(Source("sae.source", Late(f"{_HERE}.source:read"), model="sae.model"),),
    with_sources=Late(f"{_HERE}.source:with_sources"),
    # trains
    work=work,
    init=Late(f"{_HERE}.model:initial_params"),
    batch=Late(f"{_HERE}.world.inputs:batch"),
    sample=Late(f"{_HERE}.world.inputs:sample"),
    forward=Late(f"{_HERE}.model:forward"),
    losses=Late(f"{_HERE}.model:losses"),
    extra_state=Late(f"{_HERE}.upkeep:extra_state"),
    after_step=Late(f"{_HERE}.upkeep:after_step"),
    frozen=Late(f"{_HERE}.model:frozen"),
    engines={"cpu": Late(f"{_HERE}.cpu:FusedSaeEngine")},
    # results
    loss="E ‖x − x̂‖² and the penalty: λ Σ f, or λ times the number of active latents; "
    "Gated: λ Σ max(π, 0) + ‖x − x̂(max(π, 0))‖²",
    measure=Late(f"{_HERE}.results:measure"),
    scores=("mmcs", "chance", "found_90", "l0", "fvu", "dead"),
    setting_columns={"pw_mcc": Late(f"{_HERE}.results:pw_mcc")},
    follows=Late(f"{_HERE}.results:follows"),
    shared=Late(f"{_HERE}.settings:shared"),
    tensors=Late(f"{_HERE}.results:tensors"),
    views={"features": Late(f"{_HERE}.results:features")},
    exporters={
        "sae_lens": Late(f"{_HERE}.export:sae_lens"),
        "safetensors": Late(f"{_HERE}.export:safetensors"),
    },
    # shows
    shows=SHOWS,
)
