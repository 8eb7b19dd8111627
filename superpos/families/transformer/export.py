"""Transformers as files of other tools.

`transformer_lens`: a folder with cfg.json and model.safetensors, of which TransformerLens (version
3) makes the same model with equal logits:

    config = HookedTransformerConfig.from_dict(json.load(open("cfg.json")))
    model = HookedTransformer(config)
    model.load_state_dict(safetensors.torch.load_file("model.safetensors"), strict=False)
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray

from superpos.errors import SuperposError
from superpos.store import Run
from superpos.store.formats import pack_tensors

_POSITIONS = {"none": "standard", "stream": "standard", "scores": "shortformer"}
"""How TransformerLens calls what it has of our positions; without any, W_pos is 0."""


def transformer_lens(run: Run, model: int) -> dict[str, bytes]:
    """cfg.json and model.safetensors.

    Raises `IndexError`, `IncompleteError` as `Run.weights`, and `SuperposError` for models that
    TransformerLens does not have.
    """
    weights = run.weights(model)
    row = run.table.loc[model]
    if reason := _reason(row):
        raise SuperposError(f"model {model} cannot be exported to TransformerLens: {reason}")
    (layers, heads, d, k) = weights["W_Q"].shape
    positions = int(run.table["language.context"][model])
    V = len(weights["W_E"])
    config = {
        "n_layers": layers,
        "n_heads": heads,
        "d_model": d,
        "d_head": k,
        "n_ctx": positions,
        "d_vocab": V,
        "attn_only": True,
        "normalization_type": None,
        "positional_embedding_type": _POSITIONS[str(row["model.positions"])],
        "device": "cpu",
        "default_prepend_bos": False,
        "seed": 0,
    }
    tensors: dict[str, NDArray[Any]] = {
        "embed.W_E": weights["W_E"],
        "pos_embed.W_pos": weights.get("W_pos", np.zeros((positions, d), np.float32)),
        "unembed.W_U": weights["W_U"],
        "unembed.b_U": np.zeros(V, np.float32),
    }
    for layer in range(layers):
        at = f"blocks.{layer}.attn"
        tensors |= {f"{at}.{name}": weights[name][layer] for name in ("W_Q", "W_K", "W_V", "W_O")}
        tensors |= {f"{at}.b_{name}": np.zeros((heads, k), np.float32) for name in "QKV"}
        tensors[f"{at}.b_O"] = np.zeros(d, np.float32)
    return {
        "cfg.json": (json.dumps(config, indent=2) + "\n").encode(),
        "model.safetensors": pack_tensors(
            {name: np.ascontiguousarray(value) for name, value in tensors.items()}
        ),
    }


def _reason(row: Any) -> str | None:
    """Why TransformerLens has no such model."""
    if not row["model.n_layers"]:
        return "it has no layers (model.n_layers=0)"
    if row["model.positions"] not in _POSITIONS:
        return f"model.positions={row['model.positions']}; allowed: {', '.join(_POSITIONS)}"
    if row["model.smear"]:
        return "model.smear=true; it has no smeared keys"
    return None if row["model.direct"] else "model.direct=false; it always has the direct path"
