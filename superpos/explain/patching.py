"""Activation patching: what a part of a model does, told by giving it the value of another input.

A model is anything that can be run with some of its named parts replaced (`Forward`): a circuit of
gates, an attention-only model, `partial(family.forward, task, params)` of any family. It is run on
pairs of a clean and a corrupt input. Every effect is a loss of the measured number M, so that the
effect of all parts at once is the total, M(clean) - M(corrupt):

* noising: M(clean) - M(clean inputs, the part as on the corrupt ones);
* denoising: M(corrupt inputs, the part as on the clean ones) - M(corrupt);
* both are steps of a lattice over sets of parts; Shapley values are its mean steps;
* an edge is a part as one reader sees it: only what that reader gets of it changes (path patching).

What gradients say instead is in `estimates`. Words and sources: Heimersheim & Nanda 2404.15255
(noising, denoising), Li & Janson 2409.09951 (optimal ablation).

Shapes: M models, B pairs, P parts or edges, V outputs, D donors; parts are [M, B, ...].
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, Literal, NamedTuple, Protocol, TypeAlias

import torch

from superpos.errors import ConfigError

Tensors: TypeAlias = Mapping[str, torch.Tensor]
Measure: TypeAlias = Callable[[torch.Tensor], torch.Tensor]
"""Outputs [M, B, V] -> a number for each, [M, B], in which gradients can be taken."""
Recompute = Literal["clean", "corrupt", "both"]

METRICS: Final = ("logit_diff", "prob", "log_prob", "kl", "top1")
WITHOUT_GRADIENT: Final = ("top1",)
"""Metrics that jump: estimates by gradients cannot see them."""
ABLATIONS: Final = ("corrupt", "zero", "mean", "resample", "optimal")
MAX_PARTS: Final = 12
"""Of a lattice, which has 2^P sets."""
_SAME: Final = 1e-9
"""Two numbers of the lattice that differ by less are the same: what rounding leaves in float64."""


class Forward(Protocol):
    """A forward pass with named parts that can be replaced."""

    def __call__(
        self,
        inputs: Any,
        /,
        replace: Tensors | None = None,
    ) -> tuple[torch.Tensor, Tensors]:
        """Outputs [M, B, V] and parts [M, B, ...]; what follows from a replaced part changes."""


class Site(NamedTuple):
    """Where a part is replaced: everywhere, or in what one reader gets of it."""

    source: str
    """The part."""
    name: str
    """What is replaced: the part itself, or an edge of it that the forward pass knows."""


Sites: TypeAlias = Sequence[Site] | None
"""Where effects are asked for: some sites, or by None the parts of the pairs."""


@dataclass(frozen=True)
class Pairs:
    """Clean and corrupt inputs of one forward pass, and what is measured of its outputs.

    Raises `ConfigError` where the two inputs of a pair are equal: nothing can have an effect.
    """

    forward: Forward
    clean: torch.Tensor
    corrupt: torch.Tensor
    measure: Measure
    parts: tuple[str, ...]
    path: tuple[str, ...]
    """Parts that carry the inputs into the model: all that differs between inputs follows from
    them, and integrals over inputs move along them."""

    def __post_init__(self) -> None:
        same = (self.clean == self.corrupt).flatten(2).all(-1)
        if same.any():
            raise ConfigError(
                f"corrupt inputs: {int(same.sum())} of {same.numel()} are equal to the clean ones; "
                "allowed: pairs that differ"
            )

    @cached_property
    def clean_parts(self) -> Tensors:
        """Every part on the clean inputs."""
        return self.forward(self.clean)[1]

    @cached_property
    def corrupt_parts(self) -> Tensors:
        """Every part on the corrupt inputs."""
        return self.forward(self.corrupt)[1]

    @cached_property
    def clean_value(self) -> torch.Tensor:
        """M(clean), [M, B]."""
        return self.value(self.clean, {})

    @cached_property
    def corrupt_value(self) -> torch.Tensor:
        """M(corrupt), [M, B]."""
        return self.value(self.corrupt, {})

    @property
    def total(self) -> torch.Tensor:
        """M(clean) - M(corrupt), [M, B]."""
        return self.clean_value - self.corrupt_value

    @property
    def sites(self) -> tuple[Site, ...]:
        """The parts as sites of their own."""
        return tuple(Site(part, part) for part in self.parts)

    def value(self, inputs: torch.Tensor, replace: Tensors) -> torch.Tensor:
        """What is measured where some parts are replaced, [M, B]."""
        return self.measure(self.forward(inputs, replace=replace)[0])

    def difference(self, site: Site) -> torch.Tensor:
        """The source on the clean inputs less that on the corrupt ones."""
        return self.clean_parts[site.source] - self.corrupt_parts[site.source]


# --- what is measured --------------------------------------------------------------------------


def measure(
    metric: str,
    answer: torch.Tensor,
    other: torch.Tensor,
    clean: torch.Tensor | None = None,
) -> Measure:
    """A metric of logits [M, B, V].

    `answer` and `other` [M, B] are the outputs that are right, and right on the corrupt input:
    logit_diff is the answer's logit less the other's, prob and log_prob are the answer's, top1 is
    1 where no logit is greater than it. kl is -KL(p || q) of the clean distribution p, whose logits
    are `clean`, so that it falls as the others do.

    Raises `ConfigError` for an unknown metric.
    """

    def picked(values: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return values.gather(-1, index[..., None])[..., 0]

    def logit_diff(logits: torch.Tensor) -> torch.Tensor:
        return picked(logits, answer) - picked(logits, other)

    def log_prob(logits: torch.Tensor) -> torch.Tensor:
        return picked(logits.log_softmax(-1), answer)

    def prob(logits: torch.Tensor) -> torch.Tensor:
        return log_prob(logits).exp()

    def kl(logits: torch.Tensor) -> torch.Tensor:
        if clean is None:
            raise ValueError("kl compares with clean logits")
        reference = clean.log_softmax(-1)
        return (reference.exp() * (logits.log_softmax(-1) - reference)).sum(-1)

    def top1(logits: torch.Tensor) -> torch.Tensor:
        return (picked(logits, answer) >= logits.amax(-1)).to(logits.dtype)

    known = {"logit_diff": logit_diff, "prob": prob, "log_prob": log_prob, "kl": kl, "top1": top1}
    if metric not in known:
        raise ConfigError(f"metric: got {metric!r}; allowed: {', '.join(METRICS)}")
    return known[metric]


# --- exact effects -----------------------------------------------------------------------------


def noising(pairs: Pairs, sites: Sites = None) -> torch.Tensor:
    """Effects [P, M, B] of corrupt values in clean runs; of the parts, or of some edges."""
    found = []
    for site in pairs.sites if sites is None else sites:
        moved = {site.name: pairs.corrupt_parts[site.source]}
        found.append(pairs.clean_value - pairs.value(pairs.clean, moved))
    return torch.stack(found)


def denoising(pairs: Pairs, sites: Sites = None) -> torch.Tensor:
    """Effects [P, M, B] of clean values in corrupt runs; of the parts, or of some edges."""
    found = []
    for site in pairs.sites if sites is None else sites:
        moved = {site.name: pairs.clean_parts[site.source]}
        found.append(pairs.value(pairs.corrupt, moved) - pairs.corrupt_value)
    return torch.stack(found)


def lattice(
    pairs: Pairs,
    recompute: Literal["clean", "corrupt"],
    sites: Sites = None,
) -> torch.Tensor:
    """M [2^P, M, B] with every set of parts at its corrupt value, the others at the clean one.

    Bit i of the first index is part i, or edge i of some. Parts depend on each other, so there are
    two lattices: on the clean inputs the corrupt set is given and all others are recomputed, on the
    corrupt inputs the clean ones are given and the set is recomputed. Noising is the first step of
    one, denoising the last step of the other.

    Raises `ConfigError` for more than `MAX_PARTS` parts.
    """
    chosen = pairs.sites if sites is None else sites
    n = len(chosen)
    if n > MAX_PARTS:
        raise ConfigError(f"sets of parts: {n} parts; allowed: at most {MAX_PARTS}")
    inputs = pairs.clean if recompute == "clean" else pairs.corrupt
    given = pairs.corrupt_parts if recompute == "clean" else pairs.clean_parts
    found = []
    for index in range(2**n):
        wanted = index if recompute == "clean" else ~index
        replace = {
            site.name: given[site.source] for i, site in enumerate(chosen) if wanted >> i & 1
        }
        found.append(pairs.value(inputs, replace))
    return torch.stack(found)


def shapley(pairs: Pairs, recompute: Recompute = "both") -> torch.Tensor:
    """Shapley values of the parts [P, M, B]: mean steps of a lattice, or the mean over both."""
    if recompute == "both":
        return (shapley(pairs, "clean") + shapley(pairs, "corrupt")) / 2
    return shapley_values(lattice(pairs, recompute))


def shapley_values(values: torch.Tensor) -> torch.Tensor:
    """Mean losses [P, ...] over all orders in which parts join the set of a lattice [2^P, ...]."""
    n = int(math.log2(len(values)))
    found = []
    for part, (without, steps) in enumerate(_steps(values)):
        others = [index for index in range(n) if index != part]
        size = sum((without >> other) & 1 for other in others) + 0 * without
        orders = [math.factorial(k) * math.factorial(n - 1 - k) for k in range(n)]
        weights = values.new_tensor(orders)[size] / math.factorial(n)
        found.append(torch.tensordot(weights, steps, dims=1))
    return torch.stack(found)


def _steps(values: torch.Tensor) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """For each part the sets [K] without it, and what is lost when it joins, [K, ...]."""
    n = int(math.log2(len(values)))
    sets = torch.arange(2**n)
    found = []
    for part in range(n):
        without = sets[(sets >> part) & 1 == 0]
        found.append((without, values[without] - values[without + 2**part]))
    return found


def true_parts(
    pairs: Pairs,
    sites: Sites = None,
    least: torch.Tensor | float = _SAME,
) -> torch.Tensor:
    """Whether a part has an effect beside any set of others, [P, M, B]: the answer key.

    Of trained models every part has some effect; `least` [M, B] is what counts as one. Edges may be
    asked for instead of parts. Raises `ConfigError` for more than `MAX_PARTS` of them.
    """
    chosen = pairs.sites if sites is None else sites
    found = torch.zeros(len(chosen), *pairs.total.shape, dtype=torch.bool)
    for recompute in ("clean", "corrupt"):
        values = lattice(pairs, recompute, chosen)
        found |= torch.stack([(steps.abs() >= least).any(0) for _, steps in _steps(values)])
    return found


# --- ablations: other values than the corrupt ones -----------------------------------------------


def ablation(pairs: Pairs, kind: str, donors: torch.Tensor) -> torch.Tensor:
    """Effects [P, M, B] of parts that lose their value in clean runs, without corrupt inputs.

    zero: the part is 0; mean: its mean over the donors, inputs [M, D, ...]; resample: its value on
    each of them, the mean effect; optimal: the constant that changes M least in the square mean;
    corrupt: noising, without donors.

    Raises `ConfigError` for an unknown kind.
    """
    if kind == "corrupt":
        return noising(pairs)
    if kind not in ABLATIONS:
        raise ConfigError(f"ablation: got {kind!r}; allowed: {', '.join(ABLATIONS)}")
    given = pairs.forward(donors)[1]
    effect = {"zero": _zero, "mean": _mean, "resample": _resample, "optimal": _optimal}[kind]
    return torch.stack([effect(pairs, part, given[part]) for part in pairs.parts])


def _effect_of(pairs: Pairs, part: str, value: torch.Tensor) -> torch.Tensor:
    """What is lost [M, B] where a part has one value [M, 1, ...] in all runs of a model."""
    everywhere = value.expand_as(pairs.clean_parts[part])
    return pairs.clean_value - pairs.value(pairs.clean, {part: everywhere})


def _zero(pairs: Pairs, part: str, donors: torch.Tensor) -> torch.Tensor:
    return _effect_of(pairs, part, torch.zeros_like(donors[:, :1]))


def _mean(pairs: Pairs, part: str, donors: torch.Tensor) -> torch.Tensor:
    return _effect_of(pairs, part, donors.mean(1, keepdim=True))


def _resample(pairs: Pairs, part: str, donors: torch.Tensor) -> torch.Tensor:
    effects = [_effect_of(pairs, part, donors[:, d : d + 1]) for d in range(donors.shape[1])]
    return torch.stack(effects).mean(0)


def _optimal(pairs: Pairs, part: str, donors: torch.Tensor) -> torch.Tensor:
    """The better of two searches in each model, from the mean and from 0."""
    mean = donors.mean(1, keepdim=True)
    found = [_effect_of(pairs, part, _least_harm(pairs, part, x)) for x in (mean, 0 * mean)]
    effects = torch.stack(found)
    best = effects.square().mean(-1).argmin(0)
    return effects[best, torch.arange(len(best))]


def _least_harm(pairs: Pairs, part: str, start: torch.Tensor) -> torch.Tensor:
    """A constant [M, 1, ...] near a least change of M, in the square mean over the pairs."""
    constant = start.clone().requires_grad_()
    search: Any = torch.optim.LBFGS([constant], max_iter=50, line_search_fn="strong_wolfe")

    def harm() -> torch.Tensor:
        loss = _effect_of(pairs, part, constant).square().mean(-1).sum()
        if loss.requires_grad:
            (constant.grad,) = torch.autograd.grad(loss, [constant])
        return loss.detach()

    harm()
    if constant.grad is not None:
        search.step(harm)
    return constant.detach()


# --- what effects are worth ---------------------------------------------------------------------


def shares(effects: torch.Tensor, total: torch.Tensor, min_total: float = 0.02) -> torch.Tensor:
    """Mean effects over the mean total [P, M] of each model, from [P, M, B] and [M, B].

    Pairs count whose total is at least `min_total`: others lose nothing that could be shared.

    Raises `ConfigError` where no pair of a model counts.
    """
    counted = counts(total, min_total)
    return (effects * counted).sum(-1) / (total * counted).sum(-1)


def counts(total: torch.Tensor, min_total: float) -> torch.Tensor:
    """Which pairs lose enough, [M, B]. Raises `ConfigError` where no pair of a model does."""
    counted = total >= min_total
    empty = ~counted.any(-1)
    if empty.any():
        greatest = float(total[empty].max())
        words = f"{greatest:.3g} between clean and corrupt; allowed: at least {min_total:g}"
        raise ConfigError(f"total effect: {words}")
    return counted


class Score(NamedTuple):
    """How well found parts are the true ones, [...]."""

    precision: torch.Tensor
    """Share of the found parts that are true; NaN where nothing was found."""
    recall: torch.Tensor
    """Share of the true parts that were found; NaN where there are none."""


def score(found: torch.Tensor, true: torch.Tensor) -> Score:
    """Precision and recall of found parts [P, ...] against the true ones, [...] each."""
    hits = (found & true).sum(0)
    return Score(hits / found.sum(0), hits / true.sum(0))
