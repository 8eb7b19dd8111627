"""Autoencoders as files of other tools.

`sae_lens`: a folder that SAELens loads (`SAE.load_from_disk`, version 6), with the codes of the
rule of inference. `safetensors`: dictionary, features and some sparse codes as plain tensors.

Shapes: B samples, N active codes, G features, d dimensions, m latents.
"""

from __future__ import annotations

import json
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray

from superpos.families.sae import model as sae
from superpos.families.sae.analysis import worlds
from superpos.families.sae.world import inputs
from superpos.store import Run
from superpos.store.formats import pack_tensors

SAMPLES: Final = 4096
"""Samples of the evaluation stream whose codes `safetensors` holds."""

Arrays = dict[str, NDArray[Any]]


def sae_lens(run: Run, model: int) -> dict[str, bytes]:
    """cfg.json and sae_weights.safetensors of an autoencoder.

    Raises `IndexError`, `IncompleteError` as `Run.weights`.

    BatchTopK becomes JumpReLU at its threshold, which is its rule of inference; of Matryoshka
    models all latents reconstruct.
    """
    kind = str(run.table.loc[model, "sae.kind"])
    weights = run.weights(model)
    architecture, further = _architecture(kind, weights)
    size, width = weights["D"].shape
    config = {
        "architecture": architecture,
        "d_in": width,
        "d_sae": size,
        "dtype": "float32",
        "device": "cpu",
        "apply_b_dec_to_input": True,
        "normalize_activations": "none",
        "reshape_activations": "none",
        "metadata": {
            "superpos_run": run.manifest["run_id"],
            "superpos_row": str(run.table.loc[model, "row_id"]),
        },
    }
    if kind == "topk":
        config |= {"k": int(run.table["sae.k"][model]), "rescale_acts_by_decoder_norm": False}
    common: Arrays = {"W_enc": weights["E"].T, "W_dec": weights["D"], "b_dec": weights["b_d"]}
    return {
        "cfg.json": (json.dumps(config, indent=2) + "\n").encode(),
        "sae_weights.safetensors": pack_tensors(common | further),
    }


def _architecture(kind: str, weights: Arrays) -> tuple[str, Arrays]:
    """What SAELens calls a kind, and the tensors that only such models have."""
    if kind in ("l1", "topk"):
        return {"l1": "standard", "topk": "topk"}[kind], {"b_enc": weights["b_e"]}
    if kind == "gated":
        return "gated", {
            "b_gate": weights["b_gate"],
            "r_mag": weights["r"],
            "b_mag": weights["b_e"],
        }
    return "jumprelu", {"b_enc": weights["b_e"], "threshold": weights["theta"]}


def safetensors(run: Run, model: int) -> bytes:
    """The public tensors [...], features A [G, d], and of the first samples of the evaluation
    stream what is active.

    Activations x [B, d], codes as sample, latent and value [N] in the order of the samples, and the
    true codes of the features in the same form. Raises as `Run.weights`.
    """
    weights = run.weights(model)
    task = worlds.task(run, np.array([model]))
    params = {name: torch.from_numpy(value)[None] for name, value in weights.items()}
    samples = range(SAMPLES)
    x = inputs.sample(task, samples)
    _, parts = sae.forward(task, params, x)
    true = inputs.codes(task, samples)[0].numpy()
    found = parts["latents"][0].numpy()
    features = task.worlds[task.world[0]].features
    tensors: Arrays = {
        **weights,
        "A": features,
        "x": x[0].numpy(),
        **_sparse("code", "latent", found),
    }
    return pack_tensors(tensors | _sparse("true", "feature", true))


def _sparse(name: str, place: str, codes: NDArray[Any]) -> Arrays:
    """What is not 0 in codes [B, ...]: numbers of sample and place, and values [N]."""
    sample, at = np.nonzero(codes)
    return {f"{name}_sample": sample, f"{name}_{place}": at, f"{name}_value": codes[sample, at]}
