"""Which values of the keys of autoencoders fit together. Imports the standard library only."""

from __future__ import annotations

from auto.keys import DEFAULT_SIZES, N_FEATURES, N_INPUTS
from superpos.config.rules import Rules
from superpos.family import Rule


def _one_of_both(density: float | None, sparsity: float | None) -> str | None:
    if density is None or sparsity is None:
        return None
    return "auto.sparsity: given beside auto.density; sparsity = 1 - density: give one"


def _latents(
    decoder: str,
    activation: str,
    n_latents: int,
    n_features: int | None,
    n_inputs: int | None,
    source: str | None,
) -> str | None:
    if source is not None and (n_features is None or n_inputs is None):
        return None  # until the source says its sizes
    n_features, n_inputs = (
        n_features or DEFAULT_SIZES[N_FEATURES],
        n_inputs or DEFAULT_SIZES[N_INPUTS],
    )
    needed = {
        "learned": n_latents,
        "dictionary": n_features,
        "identity": n_inputs * (2 if activation == "relu" else 1),
    }
    if n_latents == needed[decoder]:
        return None
    return f"auto.n_latents: {n_latents} with auto.decoder={decoder}; allowed: {needed[decoder]}"


_DECODER: tuple[tuple[str, ...], Rule] = (
    ("auto.decoder", "auto.activation", "auto.n_latents", N_FEATURES, N_INPUTS, "auto.source"),
    _latents,
)
RULES: Rules = ((("auto.density", "auto.sparsity"), _one_of_both), _DECODER)
