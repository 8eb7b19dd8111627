"""Patches heads with TransformerLens: python transformer_lens_patching.py GIVEN LOGITS.

GIVEN holds weights and pairs of token sequences, LOGITS will hold those at the last position of
clean runs in which one head writes what it writes in the corrupt run, head by head. It needs
TransformerLens and nothing of superpos.
"""

import sys
from functools import partial

import torch
from transformer_lens import HookedTransformer, HookedTransformerConfig

given = torch.load(sys.argv[1], weights_only=True)
weights = given["weights"]
L, H, d, k = weights["W_Q"].shape
config = HookedTransformerConfig(
    n_layers=L,
    d_model=d,
    n_ctx=given["clean"].shape[-1],
    d_head=k,
    n_heads=H,
    d_vocab=len(weights["W_E"]),
    attn_only=True,
    normalization_type=None,
    use_attn_result=True,
    device="cpu",
    seed=0,
    dtype=torch.float64,
)
model = HookedTransformer(config)
with torch.no_grad():
    for value in model.parameters():
        value.zero_()
    model.embed.W_E.copy_(weights["W_E"])
    model.unembed.W_U.copy_(weights["W_U"])
    model.pos_embed.W_pos.copy_(weights["W_pos"])
    for layer, block in enumerate(model.blocks):
        for name in ("W_Q", "W_K", "W_V", "W_O"):
            getattr(block.attn, name).copy_(weights[name][layer])


def written(result, hook, head, there):
    """The same heads, but one as it is elsewhere."""
    result = result.clone()
    result[:, :, head] = there[:, :, head]
    return result


with torch.no_grad():
    _, corrupt = model.run_with_cache(given["corrupt"], prepend_bos=False)
    found = []
    for layer in range(L):
        name = f"blocks.{layer}.attn.hook_result"
        for head in range(H):
            hook = partial(written, head=head, there=corrupt[name])
            patched = model.run_with_hooks(
                given["clean"], prepend_bos=False, fwd_hooks=[(name, hook)]
            )
            found.append(patched[:, -1])
torch.save(torch.stack(found), sys.argv[2])
