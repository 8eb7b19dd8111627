"""What attention says of a head, and what else it could have said.

The output of a head is y = sum of a_t m_t over its tokens, m_t what the token would write alone.
Leaving a token out, and giving its attention to the others, moves y by a_t / (1 - a_t) (y - m_t).
Other attention with nearly the same y exists where values are alike (Jain & Wallace 1902.10186):
the worst of it, by Jensen-Shannon divergence, has at most two tokens, since the divergence is
convex and those are the corners of what is allowed, so it is found exactly.

Shapes: T tokens; any axes before.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from superpos.maths.types import Floats

_ROUNDING: Final = 1e-12


def left_out(attention: Floats, values: Floats) -> Floats:
    """y less y without each token, [..., T] of attention and values [..., T]."""
    y = (attention * values).sum(-1, keepdims=True)
    with np.errstate(divide="ignore", invalid="ignore"):
        moved = attention / (1 - attention) * (values - y)
    return np.asarray(np.where(attention < 1, moved, np.nan))


def divergence(p: Floats, q: Floats) -> Floats:
    """Jensen-Shannon divergence of distributions [..., T], in nats: at most log 2."""
    middle = (p + q) / 2

    def relative(one: Floats) -> Floats:
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(np.where(one > 0, one * np.log(one / middle), 0).sum(-1))

    return np.asarray((relative(p) + relative(q)) / 2)


def worst(attention: Floats, values: Floats, allowed: Floats) -> Floats:
    """The greatest divergence of other attention that moves y by at most `allowed` [...].

    Every corner is a token whose value is near enough, or two tokens mixed so that y moves by just
    as much as is allowed; all of them are tried.
    """
    n = attention.shape[-1]
    y = (attention * values).sum(-1)
    best = np.zeros(y.shape)
    near = allowed + _ROUNDING * (1 + np.abs(y))
    unit = np.eye(n)
    for first in range(n):
        alone = np.abs(values[..., first] - y) <= near
        found = divergence(attention, np.broadcast_to(unit[first], attention.shape))
        best = np.where(alone, np.maximum(best, found), best)
        for other in range(first):
            for end in (y - allowed, y + allowed):
                a = values[..., first]
                b = values[..., other]
                with np.errstate(divide="ignore", invalid="ignore"):
                    share = (end - b) / (a - b)
                mixed = (share >= 0) & (share <= 1)
                share = np.where(mixed, share, 0.0)[..., None]
                found = divergence(attention, share * unit[first] + (1 - share) * unit[other])
                best = np.where(mixed, np.maximum(best, found), best)
    return best


def rollout(patterns: Floats) -> Floats:
    """Attention through all layers, [..., T, T] of patterns [..., L, H, T, T].

    The mean over heads of each layer, half of it the residual stream (Abnar & Zuidema 2005.00928).
    """
    layers = patterns.mean(axis=-3)
    eye = np.eye(patterns.shape[-1])
    found = np.broadcast_to(eye, layers.shape[:-3] + eye.shape)
    for layer in range(layers.shape[-3]):
        found = (layers[..., layer, :, :] / 2 + eye / 2) @ found
    return np.asarray(found)
