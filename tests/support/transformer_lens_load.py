"""Loads exported transformers: python transformer_lens_load.py TOKENS LOGITS FOLDER...

TOKENS holds what they read, LOGITS will hold what they make of it. It needs TransformerLens and
nothing of superpos.
"""

import json
import sys
from pathlib import Path

import torch
from safetensors.torch import load_file
from transformer_lens import HookedTransformer, HookedTransformerConfig

tokens = torch.load(sys.argv[1], weights_only=True)
logits = []
for folder in map(Path, sys.argv[3:]):
    model = HookedTransformer(
        HookedTransformerConfig.from_dict(json.loads((folder / "cfg.json").read_text()))
    )
    found = model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    assert not found.unexpected_keys, found
    assert all(name.endswith(("mask", "IGNORE")) for name in found.missing_keys), found
    with torch.no_grad():
        logits.append(model(tokens, prepend_bos=False))
torch.save(logits, sys.argv[2])
