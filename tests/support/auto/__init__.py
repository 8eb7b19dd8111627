"""A second family for the tests alone: sparse autoencoders of inputs made of the features of toy
models.

It uses every slot of `superpos.family.Family`, and nothing of superpos but what every family may
import.
"""

from pathlib import Path

from auto.exhibits import SHOWS
from auto.keys import DEFAULT_DENSITY, DENSITY, KEYS, SPARSITY
from auto.rules import RULES
from auto.work import work
from superpos.family import Adam, ExactLoss, Family, Label, Late, Source

FAMILY = Family(
    name="auto",
    # asks
    keys=KEYS,
    rules=RULES,
    defaults={"train.optimizer": "adam", "train.weight_decay": 0.0, "train.batch_size": 64},
    instead={DENSITY: SPARSITY, SPARSITY: DENSITY},
    unsaid={DENSITY: DEFAULT_DENSITY},
    adam=Adam(beta1=0.5, beta2=0.99, eps=1e-6),
    settings=Late("auto.settings:Settings"),
    task=Late("auto.settings:task"),
    sources=(Source("auto.source", Late("auto.world:read_source")),),
    with_sources=Late("auto.settings:with_sources"),
    configs=Path(__file__).parent / "configs",
    # trains
    work=work,
    init=Late("auto.model:initial_params"),
    build=Late("auto.model:build"),
    batch=Late("auto.world:batch"),
    sample=Late("auto.world:evaluation"),
    forward=Late("auto.model:forward"),
    directions=Late("auto.model:directions"),
    one_layer=Late("auto.model:one_layer"),
    patched=Late("auto.patched:patched"),
    output_loss=Late("auto.model:output_loss"),
    losses=Late("auto.model:losses"),
    extra_state=Late("auto.model:extra_state"),
    after_step=Late("auto.model:after_step"),
    penalty=Late("auto.model:penalty"),
    frozen=Late("auto.model:frozen"),
    undecayed=Late("auto.model:undecayed"),
    engines={"cpu": Late("auto.engine:LinearEngine")},
    # results
    loss="E |x - x'|² + l1 E sum z, or sum z² of linear latents",
    exact_loss=ExactLoss(
        known=Late("auto.exact_loss:known"),
        work=Late("auto.exact_loss:work"),
        loss=Late("auto.exact_loss:loss"),
    ),
    evaluation_samples=2**15,
    measure=Late("auto.results:measure"),
    some_columns=Late("auto.results:some_columns"),
    label=Label("dictionary", "dictionaries"),
    scores=("found",),
    setting_columns={"agreement": Late("auto.results:agreement")},
    follows=Late("auto.results:follows"),
    shared=Late("auto.world:shared"),
    tensors=Late("auto.model:tensors"),
    views={"latents": Late("auto.results:latents")},
    exporters={"json": Late("auto.results:to_json")},
    # shows
    shows=SHOWS,
    # a user's own functions
    with_functions=Late("auto.own:with_functions"),
    try_functions=Late("auto.own:try_functions"),
)
