"""Attribution patching: effects of parts and edges estimated by gradients, at one point or along a
path.

An estimate replaces the second run of `patching` by a gradient. It is right where the model is
linear between the two runs; a softmax that has decided has no gradient. With edges it is edge
attribution patching.

Sources: Syed et al. 2310.10348 (EAP), Hanna et al. 2403.17806 (EAP-IG), Dhamdhere et al. 1805.12233
(conductance).

Shapes: M models, B pairs, P parts or edges; parts are [M, B, ...].
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import torch

from superpos.errors import ConfigError
from superpos.explain.patching import Pairs, Site, Sites, Tensors

ESTIMATES: Final = (
    "gradient_clean",
    "gradient_corrupt",
    "ig_inputs",
    "ig_activations",
    "conductance",
)


def gradient(pairs: Pairs, at: Literal["clean", "corrupt"], sites: Sites = None) -> torch.Tensor:
    """Attribution patching [P, M, B]: the source's difference times the gradient at one input.

    With edges this is edge attribution patching (EAP).
    """
    chosen = pairs.sites if sites is None else sites
    values = pairs.clean_parts if at == "clean" else pairs.corrupt_parts
    here = {part: values[part] for part in pairs.path}
    return _products(pairs, chosen, _gradients(pairs, here, chosen))


def ig_inputs(pairs: Pairs, steps: int = 20, sites: Sites = None) -> torch.Tensor:
    """EAP-IG over inputs [P, M, B]: the source's difference times the mean gradient between inputs.

    The gradient is averaged where the inputs are interpolated, the difference is the whole one: the
    two meet only where the source moves linearly along the path. So it need not converge to the
    effect of an edge, however many steps it has.
    """
    chosen = pairs.sites if sites is None else sites
    found = pairs.total.new_zeros(len(chosen), *pairs.total.shape)
    for step in range(steps):
        here = _between(pairs, (step + 0.5) / steps)
        found += _products(pairs, chosen, _gradients(pairs, here, chosen)) / steps
    return found


def ig_activations(pairs: Pairs, steps: int = 20, sites: Sites = None) -> torch.Tensor:
    """IG over activations [P, M, B]: the source alone moves from corrupt to clean in clean runs.

    It converges to the effect of noising.
    """
    inputs = {part: pairs.clean_parts[part] for part in pairs.path}
    found = []
    for site in pairs.sites if sites is None else sites:
        effect = torch.zeros_like(pairs.total)
        for step in range(steps):
            left = 1 - (step + 0.5) / steps
            moved = pairs.clean_parts[site.source] - left * pairs.difference(site)
            here = {**inputs, site.name: moved}
            effect += _products(pairs, [site], _gradients(pairs, here, [site]))[0] / steps
        found.append(effect)
    return torch.stack(found)


def conductance(pairs: Pairs, steps: int = 20, sites: Sites = None) -> torch.Tensor:
    """Conductance [P, M, B]: sum of gradients times the steps that the source makes between inputs.

    Inputs are interpolated as in `ig_inputs`; over a cut of the model it adds up to the total.
    """
    chosen = pairs.sites if sites is None else sites
    found = pairs.total.new_zeros(len(chosen), *pairs.total.shape)
    before = pairs.forward(pairs.clean, replace=_between(pairs, 0.0))[1]
    for step in range(steps):
        gradients = _gradients(pairs, _between(pairs, (step + 0.5) / steps), chosen)
        after = pairs.forward(pairs.clean, replace=_between(pairs, (step + 1) / steps))[1]
        for i, site in enumerate(chosen):
            found[i] += _dot(after[site.source] - before[site.source], gradients[i])
        before = after
    return found


def estimate(pairs: Pairs, method: str, steps: int = 20, sites: Sites = None) -> torch.Tensor:
    """One of `ESTIMATES` by name, [P, M, B]. Raises `ConfigError` for an unknown one."""
    match method:
        case "gradient_clean":
            return gradient(pairs, "clean", sites)
        case "gradient_corrupt":
            return gradient(pairs, "corrupt", sites)
        case "ig_inputs":
            return ig_inputs(pairs, steps, sites)
        case "ig_activations":
            return ig_activations(pairs, steps, sites)
        case "conductance":
            return conductance(pairs, steps, sites)
    raise ConfigError(f"estimate: got {method!r}; allowed: {', '.join(ESTIMATES)}")


def _between(pairs: Pairs, share: float) -> dict[str, torch.Tensor]:
    """The parts of the path, `share` of the way from corrupt to clean."""
    found = {}
    for part in pairs.path:
        corrupt = pairs.corrupt_parts[part]
        found[part] = corrupt + share * (pairs.clean_parts[part] - corrupt)
    return found


def _gradients(pairs: Pairs, replace: Tensors, sites: Sequence[Site]) -> list[torch.Tensor]:
    """dM / d what stands at each site, through everything that follows; 0 where nothing reads it.

    `replace` holds the path at least, so that whatever does not follow from it is constant and can
    be replaced by itself.
    """
    leaves = {part: value.detach().requires_grad_() for part, value in replace.items()}
    outputs, values = pairs.forward(pairs.clean, replace=leaves)
    if any(site.name not in values for site in sites):
        return [_gradient_of_edge(pairs, leaves, values, site) for site in sites]
    constant = {site.name for site in sites if not values[site.name].requires_grad}
    if constant:
        leaves |= {name: values[name].detach().requires_grad_() for name in sorted(constant)}
        outputs, values = pairs.forward(pairs.clean, replace=leaves)
    return _derivatives(pairs.measure(outputs), [values[site.name] for site in sites])


def _gradient_of_edge(pairs: Pairs, leaves: Tensors, values: Tensors, site: Site) -> torch.Tensor:
    """The gradient where one reader gets the part: alone, as it would cut the way to later ones."""
    leaf = leaves[site.name] if site.name in leaves else values[site.source]
    leaf = leaf.detach().requires_grad_()
    outputs, _ = pairs.forward(pairs.clean, replace={**leaves, site.name: leaf})
    return _derivatives(pairs.measure(outputs), [leaf])[0]


def _derivatives(measured: torch.Tensor, places: Sequence[torch.Tensor]) -> list[torch.Tensor]:
    if not measured.requires_grad:
        return [torch.zeros_like(place) for place in places]
    found = torch.autograd.grad(measured.sum(), places, allow_unused=True, materialize_grads=True)
    return list(found)


def _products(pairs: Pairs, sites: Sequence[Site], at: Sequence[torch.Tensor]) -> torch.Tensor:
    """Whole differences of the sources times the gradients `at` the sites, [P, M, B]."""
    both = zip(sites, at, strict=True)
    return torch.stack([_dot(pairs.difference(site), gradient) for site, gradient in both])


def _dot(first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
    """Sums [M, B] of products over everything but models and pairs."""
    products = first * second
    return products.reshape(*products.shape[:2], -1).sum(-1)
