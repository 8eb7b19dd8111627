"""What is read off one model, as tables for people: classes, paths, heads, composition, and the
strongest entries.

Shapes: H heads, V tokens.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import torch

from superpos.families.transformer import metrics
from superpos.families.transformer.analysis import paths, tables
from superpos.families.transformer.analysis.models import language, task
from superpos.families.transformer.counts import AT_SNAPSHOTS, Asked, asked
from superpos.families.transformer.model import forward
from superpos.families.transformer.structure import Structure, Task
from superpos.maths import attention
from superpos.maths.types import Floats
from superpos.store import Run

_OF_MODEL = ("circuit", "loss", "floor", "excess", "formed_at")


def read(run: Run, model: int, top: int) -> dict[str, pd.DataFrame]:
    """Tables by name, in this order; those that the model has nothing for are left out.

    `model`: its class, loss and floor in nats. `paths`: what it costs, in nats, to remove what
    earlier layers write from what later ones make queries, keys and values of, or from the logits.
    `orders`: the excess with attention as it is and only the paths from a token to the logits that
    go through no head, through one at most, through any number; what composes by queries and keys
    is in the attention, and stays. `heads`: prefix matching, attention to the token before, and
    copying by eigenvalues (OV positivity) of each head. `compositions`: of each pair of heads,
    minus the value 1/√d of random matrices. `entries`: the `top` greatest entries of each table of
    `run.circuits`. `skip_trigrams`: of models of which they can be read, the `top` most probable,
    and whether they are planted.
    """
    row = run.table.iloc[model]
    one = task(run, model)
    weights = run.weights(model)
    given = asked(one, 0, AT_SNAPSHOTS)
    found = {
        "model": pd.DataFrame([{name: row[name] for name in _OF_MODEL}]),
        "paths": _paths(one.structure, row),
        "orders": _orders(one, weights, given),
        "heads": _heads(one, weights, given),
        "compositions": _compositions(one.structure, weights),
        "entries": _entries(one.structure, weights, top),
        "skip_trigrams": _skip_trigrams(one, weights, top),
    }
    return {name: rows for name, rows in found.items() if len(rows)}


def token_names(structure: Structure) -> list[str]:
    """What the tokens of a language are called, [V]; plain numbers where they have no part to
    play.
    """
    s = structure
    plain = [str(token) for token in range(s.tokens)]
    return {
        "pairs": [f"key{i}" for i in range(s.keys)]
        + [f"value{i}" for i in range(s.values)]
        + ["BOS"],
        "repeats": [*plain, "BOS"],
        "source": plain + [f"source{i}" for i in range(s.sources)],
        "latin": plain + [f"source{i}" for i in range(s.sources)],
        "conditional": [*plain, "[0]"],
        "markov": [str(state) for state in range(s.states)],
        "triggers": [f"trigger{i}" for i in range(s.triggers)] + plain[s.triggers :],
    }.get(s.kind, plain)


def _paths(s: Structure, row: pd.Series) -> pd.DataFrame:
    if s.n_layers < 2:
        return pd.DataFrame()
    return pd.DataFrame(
        [
            {"into": into, "cost": float(row[f"path_{into}"])}
            for into in (*attention.INPUTS, "logits")
        ]
    )


def _orders(one: Task, weights: metrics.Weights, given: Asked) -> pd.DataFrame:
    found = paths.orders(one, weights, given)
    return pd.DataFrame({"heads": list(found), "excess": list(found.values())})


def _heads(one: Task, weights: metrics.Weights, given: Asked) -> pd.DataFrame:
    s = one.structure
    with torch.no_grad():
        parts = forward(one, paths.params_of(weights), given.inputs)[1]
    found = []
    for name in attention.heads(s.n_layers, s.n_heads):
        layer, head = (int(number) for number in name.split("."))
        pattern = parts[f"{name}:pattern"][0].double().numpy()
        found.append(
            {
                "head": name,
                "prefix": metrics.prefix_matching(pattern, given.tokens[:, :-1], given.where),
                "previous": metrics.previous_token(pattern),
                "ov_positivity": metrics.ov_positivity(weights, layer, head),
            }
        )
    return pd.DataFrame(found)


def _compositions(s: Structure, weights: metrics.Weights) -> pd.DataFrame:
    places = [(layer, head) for layer in range(s.n_layers) for head in range(s.n_heads)]
    found: list[dict[str, Any]] = []
    for earlier in places:
        for later in places:
            if earlier[0] < later[0]:
                scores = metrics.compositions(weights, earlier, later)
                names = {"from": "{}.{}".format(*earlier), "to": "{}.{}".format(*later)}
                found.append(
                    names | {into: value - s.d_model**-0.5 for into, value in scores.items()}
                )
    return pd.DataFrame(found)


def _entries(s: Structure, weights: metrics.Weights, top: int) -> pd.DataFrame:
    names = token_names(s)
    made = tables.circuits(weights)
    heads = [(layer, head) for layer in range(s.n_layers) for head in range(s.n_heads)]
    every: dict[str, Floats] = {"direct": made.direct} if s.direct else {}
    every |= {f"OV {layer}.{head}": made.ov[layer, head] for layer, head in heads}
    every |= {f"QK {layer}.{head}": made.qk[layer, head] for layer, head in heads}
    found = []
    for title, table in every.items():
        for place in np.argsort(-table, axis=None, kind="stable")[:top]:
            row, column = np.unravel_index(place, table.shape)
            found.append(
                {
                    "table": title,
                    "row": names[row],
                    "column": names[column],
                    "value": table[row, column],
                }
            )
    return pd.DataFrame(found)


def _skip_trigrams(one: Task, weights: metrics.Weights, top: int) -> pd.DataFrame:
    s = one.structure
    if not tables.reads_triples(s):
        return pd.DataFrame()
    own = language(one)
    names = token_names(s)
    p = np.exp(tables.through_softmax(s, own, weights))
    found = []
    for place in np.argsort(-p, axis=None, kind="stable")[:top]:
        a, b, c = np.unravel_index(place, p.shape)
        planted = bool(own["next"][a, b] == c)
        triple = {"source": names[s.tokens + a], "token": names[b], "next": names[c]}
        found.append(triple | {"probability": p[a, b, c], "planted": planted})
    return pd.DataFrame(found)
