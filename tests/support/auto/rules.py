"""Which values of the keys of autoencoders fit together. Imports the standard library only."""

from __future__ import annotations

from superpos.config.rules import Rules
from superpos.family import Rule


def _one_of_both(density: float | None, sparsity: float | None) -> str | None:
    if density is None or sparsity is None:
        return None
    return "auto.sparsity: given beside auto.density; sparsity = 1 - density: give one"


def _latents(decoder: str, activation: str, n_latents: int, n_features: int, n_inputs: int) -> str | None:
    needed = {"learned": n_latents, "dictionary": n_features, "identity": n_inputs * (2 if activation == "relu" else 1)}
    if n_latents == needed[decoder]:
        return None
    return f"auto.n_latents: {n_latents} with auto.decoder={decoder}; allowed: {needed[decoder]}"


_DECODER: tuple[tuple[str, ...], Rule] = (
    ("auto.decoder", "auto.activation", "auto.n_latents", "auto.n_features", "auto.n_inputs"),
    _latents,
)
RULES: Rules = ((("auto.density", "auto.sparsity"), _one_of_both), _DECODER)
