"""The same training by an expert of JAX: `jit` of `lax.scan` over steps that train all models at
once.

What makes it fast on a CPU: one 32-bit draw per cell for mask and value, not two; samples as the
last axis, so that XLA's loops run along them (up to three times as fast); Threefry without
`jax_threefry_partitionable`, which computes every number twice (twice as fast; the "rbg" generators
are slower here); state donated, so that it is updated in place; and one XLA device per core, each
with its share of the models, since XLA runs most of these loops on one core.

Shapes: M models of a device, B batch, F features, H hidden.
"""

from __future__ import annotations

from functools import partial
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from superpos.bench.sides import MissingError
from superpos.engines import Params
from superpos.engines.machine import available_threads
from superpos.families.tms import FAMILY, model
from superpos.families.tms.data.feature_values import cells
from superpos.families.tms.structure import Task


class Carry(NamedTuple):
    """What a step changes: parameters {name: [M, ...]}, AdamW's two moments of each, and the number
    of steps done.
    """

    params: Any
    first: Any
    second: Any
    step: Any


class Models(NamedTuple):
    """What it does not: [M, F] each.

    A draw u is active iff u >= threshold, its value then (u - threshold) * scale.
    """

    threshold: Any
    scale: Any
    importance: Any


class JaxSide:
    """JAX on the CPU.

    Where models differ in learning rate or weight decay it takes those of the first.
    """

    def __init__(self, task: Task, device: str) -> None:
        if device != "cpu":
            raise MissingError("JAX is timed on the CPU only")
        jax = _jax()
        from jax.sharding import NamedSharding, PartitionSpec

        cores = jax.devices("cpu")
        mesh = jax.sharding.Mesh(np.array(cores[: gcd(len(task), len(cores))]), ("models",))
        split, whole = PartitionSpec("models"), PartitionSpec()

        def shared(array: np.ndarray[Any, Any]) -> Any:
            return jax.device_put(array, NamedSharding(mesh, split))

        initial = model.initial_params(task)
        params, first, second = (
            {name: shared(value * factor) for name, value in initial.items()}
            for factor in (1, 0, 0)
        )
        self.carry = Carry(
            params, first, second, jax.device_put(np.int32(0), NamedSharding(mesh, whole))
        )
        self.models = Models(*map(shared, _models(task)))
        train = partial(
            _train,
            batch=task.structure.batch_size,
            lr=task.lr[0],
            weight_decay=task.weight_decay[0],
        )
        spread = Carry(split, split, split, whole)

        def advance(carry: Carry, models: Models, steps: int) -> Any:
            run = partial(train, steps=steps)
            return jax.shard_map(
                run, mesh=mesh, in_specs=(spread, split), out_specs=spread, check_vma=False
            )(carry, models)

        self._advance = jax.jit(advance, static_argnames="steps", donate_argnums=0)

    def advance(self, steps: int) -> None:
        """Train so many more steps in one call."""
        self.carry = self._advance(self.carry, self.models, steps)
        self.carry.step.block_until_ready()

    def params(self) -> Params:
        """The weights now."""
        return {name: np.array(value) for name, value in self.carry.params.items()}


def _jax() -> Any:
    """JAX with one device for each core. Raises `MissingError` where it is not installed."""
    try:
        import jax
    except ImportError as error:
        raise MissingError("JAX is not installed; the extra superpos[bench] holds it") from error
    cores = available_threads()
    if jax.config.jax_num_cpu_devices != cores:  # may be set until its first use only
        jax.config.update("jax_num_cpu_devices", cores)
    jax.config.update("jax_threefry_partitionable", False)
    return jax


def _models(task: Task) -> Models:
    rules = cells(task.structure, task.sparsity)
    return Models(rules.low, rules.scale, task.importance.astype(np.float32))


def _train(
    carry: Carry, models: Models, *, steps: int, batch: int, lr: float, weight_decay: float
) -> Carry:
    """One device's share of `steps` steps."""
    import jax

    key = jax.random.fold_in(jax.random.key(0), jax.lax.axis_index("models"))
    loss = partial(_loss, importance=models.importance)

    def step(carry: Carry, _: None) -> tuple[Carry, None]:
        x = _inputs(jax.random.fold_in(key, carry.step), models, batch)
        return _adamw(carry, jax.grad(loss)(carry.params, x), lr, weight_decay), None

    trained: Carry = jax.lax.scan(step, carry, length=steps)[0]
    return trained


def _inputs(key: Any, models: Models, batch: int) -> Any:
    """x [M, F, B]."""
    import jax
    import jax.numpy as jnp

    threshold = models.threshold[..., None]
    u = jax.random.bits(key, (*models.threshold.shape, batch), np.uint32)
    return jnp.where(
        u >= threshold, (u - threshold).astype(np.float32) * models.scale[..., None], 0
    )


def _loss(params: Any, x: Any, importance: Any) -> Any:
    """The sum over the models of their losses."""
    import jax
    import jax.numpy as jnp

    hidden = jnp.einsum("mfb,mfh->mhb", x, params["W"])
    out = jax.nn.relu(jnp.einsum("mhb,mfh->mfb", hidden, params["W"]) + params["b"][..., None])
    return (importance[..., None] * (x - out) ** 2).mean((1, 2)).sum()


def _adamw(carry: Carry, grads: Any, lr: float, weight_decay: float) -> Carry:
    """Loshchilov & Hutter 2019, as in torch.optim."""
    import jax
    import jax.numpy as jnp

    step = carry.step + 1
    beta1, beta2, eps = FAMILY.adam
    correction1 = 1 - jnp.float32(beta1) ** step
    correction2 = 1 - jnp.float32(beta2) ** step
    first = jax.tree.map(lambda old, g: beta1 * old + (1 - beta1) * g, carry.first, grads)
    second = jax.tree.map(lambda old, g: beta2 * old + (1 - beta2) * g * g, carry.second, grads)

    def updated(param: Any, mean: Any, square: Any) -> Any:
        direction = mean / correction1 / (jnp.sqrt(square / correction2) + eps)
        return (1 - lr * weight_decay) * param - lr * direction

    return Carry(jax.tree.map(updated, carry.params, first, second), first, second, step)
