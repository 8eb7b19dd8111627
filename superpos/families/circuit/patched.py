"""What `superpos patch` replaces in circuits. Shapes: M models, B pairs of inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

import torch

from superpos.errors import ConfigError
from superpos.explain import circuits, induction
from superpos.explain.patched import Patched
from superpos.explain.patching import Pairs, Site, measure
from superpos.families.circuit.analysis.made import SEED, made_of, prompts_of
from superpos.families.circuit.purposes import Purpose
from superpos.families.circuit.structure import Structure
from superpos.maths.streams import normals
from superpos.store import Run

Tensors = Mapping[str, torch.Tensor]


def patched(
    run: Run,
    models: Sequence[int],
    corrupt: str | None,
    metric: str,
    prompts: int,
) -> Patched:
    """Pairs of prompts of induction circuits, or all pairs of inputs of gates, in double precision.

    Raises `ConfigError` where gates are asked for corrupt prompts.
    """
    structure, params = made_of(run, models)
    if structure.is_induction:
        return patched_induction(structure, params, corrupt or "query", metric, prompts)
    if corrupt is not None:
        words = f"{corrupt} with circuit.kind={structure.kind}"
        raise ConfigError(f"patch.corrupt: {words}, whose inputs are no prompts; leave it out")
    return patched_gates(structure, params, metric)


def patched_gates(structure: Structure, params: Tensors, metric: str) -> Patched:
    """Every ordered pair of inputs; the answer is "on", so that pairs from on to off lose it."""
    wires = structure.wires
    models = len(params["readout"])
    forward = partial(circuits.forward, wires, params)
    clean, corrupt = (x.expand(models, -1, -1) for x in circuits.all_pairs(wires.n_inputs))
    on = torch.ones(clean.shape[:2], dtype=torch.int64)
    measured = measure(metric, on, 0 * on, forward(clean)[0])
    pairs = Pairs(forward, clean, corrupt, measured, wires.parts, wires.inputs)
    donors = circuits.all_inputs(wires.n_inputs).expand(models, -1, -1)
    # Of an illusion it is known, and enumeration would have many sets.
    true = (wires.gates[0],) if structure.kind == "illusion" else None
    return Patched(pairs, donors, true)


def patched_induction(
    structure: Structure,
    params: Tensors,
    corrupt: str,
    metric: str,
    prompts: int,
) -> Patched:
    """Some prompts, whose heads are parts; what the second layer gets of the first are edges."""
    kind = structure.kind
    distractors = structure.distractors
    d = params["W_E"].shape[-1]
    noise = normals(SEED, Purpose.NOISE, 0, (prompts, d))[0]
    pairs = induction.pairs(params, prompts_of(prompts), corrupt, metric, noise)
    edges = induction.head_edges(kind, distractors)
    return Patched(
        pairs,
        pairs.clean,
        induction.true_heads(kind, distractors),
        tuple(Site(edge.partition("->")[0], edge) for edge in edges),
        induction.true_edges(kind, distractors),
    )
