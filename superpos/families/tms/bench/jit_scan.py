"""The same training by an expert of JAX: `jit` of `lax.scan` over steps that train all models at
once (`superpos.bench.jit_scan`).

What makes it fast on a CPU, beside what every family's has: one 32-bit draw per cell for mask and
value, not two; and samples as the last axis, so that XLA's loops run along them (up to three times
as fast).

Shapes: M models of a device, B batch, F features, H hidden.
"""

from __future__ import annotations

from functools import partial
from typing import Any, NamedTuple

import numpy as np

from superpos.bench.jit_scan import JitScan, Model
from superpos.families.tms import FAMILY
from superpos.families.tms.data.feature_values import cells
from superpos.families.tms.model import initial_params
from superpos.families.tms.structure import Task


class Models(NamedTuple):
    """What training does not change: [M, F] each.

    A draw u is active iff u >= threshold, its value then (u - threshold) * scale.
    """

    threshold: Any
    scale: Any
    importance: Any


def jax_side(task: Task, device: str) -> JitScan:
    """JAX on the CPU.

    Where models differ in learning rate or weight decay it takes those of the first.
    """
    model = Model(
        draw=partial(_inputs, batch=task.structure.batch_size),
        loss=_loss,
        adam=FAMILY.adam,
        lr=float(task.lr[0]),
        weight_decay=float(task.weight_decay[0]),
    )
    rules = cells(task.structure, task.sparsity)
    constants = Models(rules.low, rules.scale, task.importance.astype(np.float32))
    return JitScan(model, initial_params(task), constants, device)


def _inputs(key: Any, models: Models, _: int, batch: int) -> Any:
    """x [M, F, B]."""
    import jax
    import jax.numpy as jnp

    threshold = models.threshold[..., None]
    u = jax.random.bits(key, (*models.threshold.shape, batch), np.uint32)
    return jnp.where(
        u >= threshold, (u - threshold).astype(np.float32) * models.scale[..., None], 0
    )


def _loss(params: Any, x: Any, models: Models) -> Any:
    """The sum over the models of their losses."""
    import jax
    import jax.numpy as jnp

    hidden = jnp.einsum("mfb,mfh->mhb", x, params["W"])
    out = jax.nn.relu(jnp.einsum("mhb,mfh->mfb", hidden, params["W"]) + params["b"][..., None])
    return (models.importance[..., None] * (x - out) ** 2).mean((1, 2)).sum()
