"""Keys of `superpos patch` and of `run.patch`: what is replaced in a finished run's models."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from superpos.config.schema import Schema, key, schema_of_group


@dataclass(frozen=True)
class PatchConfig:
    """What is replaced by what, and how much of the total counts."""

    sites: str = key(
        "choice",
        "parts",
        "what is replaced: parts, or what heads get of heads before them (path patching)",
        choices=("parts", "edges"),
    )
    direction: str = key(
        "choice",
        "noising",
        "corrupt values in clean runs, clean ones in corrupt runs, or the mean step between them",
        choices=("noising", "denoising", "shapley"),
    )
    ablation: str = key(
        "choice",
        "corrupt",
        "what takes the place of a part in clean runs",
        choices=("corrupt", "zero", "mean", "resample", "optimal"),
    )
    corrupt: str | None = key(
        "choice",
        None,
        "what differs in corrupt prompts",
        choices=("query", "query_absent", "key", "value", "keys_swapped", "noise"),
        null="query of prompts, all pairs of inputs of gates",
    )
    metric: str = key(
        "choice",
        "logit_diff",
        "what is measured of the outputs",
        choices=("logit_diff", "prob", "log_prob", "kl", "top1"),
    )
    estimate: str = key(
        "choice",
        "exact",
        "the exact effect, or an estimate of noising by gradients",
        choices=(
            "exact",
            "gradient_clean",
            "gradient_corrupt",
            "ig_inputs",
            "ig_activations",
            "conductance",
        ),
    )
    steps: int = key("int", 20, "steps of estimates along a path", low=1, high=100_000)
    prompts: int = key("int", 200, "prompts that are patched", low=1, high=100_000)
    threshold: float = key(
        "number",
        0.05,
        "share of the total from which on a part counts",
        low=0.0,
        high=1.0,
    )
    min_total: float = key("number", 0.02, "least total that is shared", low=1e-12, high=1e30)


SEVERAL = ("direction", "ablation", "corrupt", "metric", "estimate")
"""Keys that take several values."""


@cache
def schema() -> Schema:
    """The keys as a schema of their own."""
    return schema_of_group("patch", PatchConfig)
