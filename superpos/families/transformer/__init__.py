"""Attention-only transformers on languages whose every floor is known: bigrams, skip-trigrams,
induction.
"""

from superpos.families.transformer.exhibits import SHOWS
from superpos.families.transformer.keys import KEYS
from superpos.families.transformer.rules import RULES
from superpos.families.transformer.work import work
from superpos.family import Adam, ExactLoss, Family, Label, Late

_HERE = "superpos.families.transformer"

FAMILY = Family(
    name="transformer",
    # asks
    keys=KEYS,
    rules=RULES,
    defaults={
        "train.steps": 1600,
        "train.batch_size": 16,
        "train.optimizer": "adam",
        "train.lr": 0.01,
        "train.lr_schedule": "linear",
        "train.decay_share": 0.5,
        "train.warmup_steps": 50,
        "train.weight_decay": 0.0,
        "record.loss_every": 20,
    },
    adam=Adam(0.9, 0.98, 1e-9),
    settings=Late(f"{_HERE}.settings:Settings"),
    task=Late(f"{_HERE}.settings:task"),
    # trains
    work=work,
    init=Late(f"{_HERE}.model:initial_params"),
    batch=Late(f"{_HERE}.data.inputs:batch"),
    sample=Late(f"{_HERE}.data.inputs:sample"),
    forward=Late(f"{_HERE}.model:forward"),
    patched=Late(f"{_HERE}.patched:patched"),
    output_loss=Late(f"{_HERE}.model:output_loss"),
    losses=Late(f"{_HERE}.model:losses"),
    engines={"cpu": Late(f"{_HERE}.cpu:FusedTransformerEngine")},
    # results
    loss="mean −log p(next token) over the positions of a sequence that are learned, in nats",
    exact_loss=ExactLoss(
        known=Late(f"{_HERE}.counts:has_exact_excess"),
        work=lambda structure: float(structure.vocabulary**2 * structure.d_model),
        loss=Late(f"{_HERE}.counts:exact_loss"),
    ),
    evaluation_samples=2**12,
    measure=Late(f"{_HERE}.results:measure"),
    label=Label("circuit", "circuits"),
    views={
        "circuits": Late(f"{_HERE}.views:tables"),
        "read_circuits": Late(f"{_HERE}.views:read"),
    },
    exporters={"transformer_lens": Late(f"{_HERE}.export:transformer_lens")},
    # shows
    shows=SHOWS,
)
