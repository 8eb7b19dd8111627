"""Loads exported autoencoders with SAELens and compares codes: python sae_lens_codes.py [FOLDER
PLAIN]...

Prints for each SAELens' class, its greatest difference from the codes of PLAIN, and in how many
cells only one of both is active. It needs SAELens and nothing of superpos.
"""

import sys

import torch
from sae_lens import SAE
from safetensors.torch import load_file


def compare(folder: str, plain: str) -> str:
    """The line of one autoencoder."""
    own = load_file(plain)
    model = SAE.load_from_disk(folder)
    with torch.no_grad():
        codes = model.encode(own["x"])
    expected = torch.zeros_like(codes)
    expected[own["code_sample"], own["code_latent"]] = own["code_value"]
    gap = (codes - expected).abs().max().item()
    flips = int(((codes != 0) != (expected != 0)).sum())
    return f"{type(model).__name__} {gap} {flips}"


if __name__ == "__main__":
    arguments = sys.argv[1:]
    for pair in zip(arguments[::2], arguments[1::2], strict=True):
        sys.stdout.write(f"{compare(*pair)}\n")
