"""Loads weights that are given into TransformerLens: python transformer_lens_logits.py GIVEN
LOGITS.

GIVEN holds models and tokens, LOGITS will hold what they make of them. It needs TransformerLens and
nothing of superpos.
"""

import sys

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

given = torch.load(sys.argv[1], weights_only=True)
logits = []
for kind, weights in given["models"]:
    L, H, d, k = weights["W_Q"].shape
    config = HookedTransformerConfig(
        n_layers=L,
        d_model=d,
        n_ctx=6,
        d_head=k,
        n_heads=H,
        d_vocab=5,
        attn_only=True,
        normalization_type=None,
        positional_embedding_type={"scores": "shortformer"}.get(kind, "standard"),
        device="cpu",
        seed=0,
        dtype=torch.float32,
    )
    model = HookedTransformer(config)
    with torch.no_grad():
        for value in model.parameters():
            value.zero_()
        model.embed.W_E.copy_(weights["W_E"])
        model.unembed.W_U.copy_(weights["W_U"])
        if "W_pos" in weights:
            model.pos_embed.W_pos.copy_(weights["W_pos"])
        for layer, block in enumerate(model.blocks):
            for name in ("W_Q", "W_K", "W_V", "W_O"):
                getattr(block.attn, name).copy_(weights[name][layer])
        logits.append(model(given["tokens"], prepend_bos=False))
torch.save(logits, sys.argv[2])
