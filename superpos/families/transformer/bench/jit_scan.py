"""The same training by an expert of JAX: `jit` of `lax.scan` over steps that train all models at
once (`superpos.bench.jit_scan`).

Shapes: M models of a device, B sequences, T positions, H heads.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from superpos.bench.jit_scan import JitScan, Model
from superpos.families.transformer import FAMILY
from superpos.families.transformer.bench.loop import require_pairs
from superpos.families.transformer.model import initial_params
from superpos.families.transformer.structure import Structure, Task


def jax_side(task: Task, device: str) -> JitScan:
    """JAX on the CPU; all models have the learning rate of the first."""
    structure = task.structure
    require_pairs(structure)
    model = Model(
        draw=partial(_draw, structure=structure),
        loss=partial(_losses, structure=structure),
        adam=FAMILY.adam,
        lr=float(task.lr[0]),
    )
    return JitScan(model, initial_params(task), None, device)


def _draw(key: Any, _: None, models: int, structure: Structure) -> Any:
    """Tokens [M, B, T + 1]."""
    import jax
    import jax.numpy as jnp

    s = structure
    size = (models, structure.batch_size)
    of_values, of_keys = jax.random.split(key)
    values = jax.random.randint(of_values, (*size, s.keys), s.keys, s.keys + s.values)
    keys = jax.random.randint(of_keys, (*size, (s.context + 1) // 2), 0, s.keys)
    body = jnp.stack([keys, jnp.take_along_axis(values, keys, -1)], -1).reshape(*size, -1)[
        ..., : s.context
    ]
    return jnp.concatenate([jnp.full((*size, 1), s.keys + s.values), body], -1)


def _losses(params: Any, tokens: Any, _: None, structure: Structure) -> Any:
    """The sum over the models of their losses."""
    import jax

    return jax.vmap(partial(_loss, structure=structure))(params, tokens).sum()


def _loss(params: Any, tokens: Any, structure: Structure) -> Any:
    """The loss of one model on tokens [B, T + 1]."""
    import jax
    import jax.numpy as jnp

    length = structure.context
    apart = np.arange(length)[:, None] - np.arange(length)
    x = params["W_E"][tokens[:, :-1]]
    for layer in range(structure.n_layers):
        q, k, v = (
            jnp.einsum("btd,hdk->bhtk", x, params[name][layer]) for name in ("W_Q", "W_K", "W_V")
        )
        scores = jnp.einsum("bhik,bhjk->bhij", q, k) / structure.d_head**0.5
        scores = scores + params["W_rel"][layer][:, np.maximum(apart, 0)]
        pattern = jax.nn.softmax(jnp.where(apart < 0, -jnp.inf, scores))
        mixed = jnp.einsum("bhij,bhjk->bhik", pattern, v)
        x = x + jnp.einsum("bhtk,hkd->btd", mixed, params["W_O"][layer])
    log_p = jax.nn.log_softmax(x @ params["W_U"])
    return -jnp.take_along_axis(log_p, tokens[:, 1:, None], -1).mean()
