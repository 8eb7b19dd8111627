"""Patches heads with nnsight: python nnsight_patching.py GIVEN LOGITS.

GIVEN holds weights and pairs of token sequences, LOGITS will hold those at the last position of
clean runs in which one head writes what it writes in the corrupt run, head by head. The model is a
plain torch module with one submodule for each head. It needs nnsight and nothing of superpos.
"""

import sys

import torch
from nnsight import NNsight

given = torch.load(sys.argv[1], weights_only=True)
weights = given["weights"]
L, H, d, k = weights["W_Q"].shape


class Head(torch.nn.Module):
    """What one head writes."""

    def __init__(self, layer, head):
        super().__init__()
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            self.register_buffer(name, weights[name][layer, head])

    def forward(self, x):
        """[B, T, d] of the residual stream before the layer."""
        q, keys, v = x @ self.W_Q, x @ self.W_K, x @ self.W_V
        future = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        scores = (q @ keys.mT / k**0.5).masked_fill(future, -torch.inf)
        return scores.softmax(-1) @ v @ self.W_O


class Model(torch.nn.Module):
    """An attention-only transformer."""

    def __init__(self):
        super().__init__()
        layers = [
            torch.nn.ModuleList([Head(layer, head) for head in range(H)]) for layer in range(L)
        ]
        self.layers = torch.nn.ModuleList(layers)
        self.out = torch.nn.Identity()

    def forward(self, tokens):
        """Logits [B, T, V] of tokens [B, T]."""
        x = weights["W_E"][tokens] + weights["W_pos"][: tokens.shape[1]]
        for heads in self.layers:
            x = x + sum(head(x) for head in heads)
        return self.out(x @ weights["W_U"])


model = NNsight(Model())
found = []
with torch.no_grad():
    for layer in range(L):
        for head in range(H):
            with model.trace(given["corrupt"]):
                there = model.layers[layer][head].output.save()
            with model.trace(given["clean"]):
                model.layers[layer][head].output = there
                logits = model.out.output.save()
            found.append(logits[:, -1].detach())
torch.save(torch.stack(found), sys.argv[2])
