"""The same training by an expert of JAX: `jit` of `lax.scan` over steps that train all models at
once.

State is donated, so that it is updated in place; there is one XLA device for each core, each with
its share of the models; and Threefry without `jax_threefry_partitionable`, which computes every
number twice.

Shapes: M models of a device, B sequences, T positions, H heads.
"""

from __future__ import annotations

from functools import partial
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from superpos.bench.sides import MissingError
from superpos.engines import Params
from superpos.engines.machine import available_threads
from superpos.families.transformer import FAMILY
from superpos.families.transformer.bench.loop import require_pairs
from superpos.families.transformer.model import initial_params
from superpos.families.transformer.structure import Structure, Task


class Carry(NamedTuple):
    """What a step changes: parameters {name: [M, ...]}, Adam's two moments of each, and the number
    of steps done.
    """

    params: Any
    first: Any
    second: Any
    step: Any


class JaxSide:
    """JAX on the CPU; all models have the learning rate of the first."""

    def __init__(self, task: Task, device: str) -> None:
        if device != "cpu":
            raise MissingError("JAX is timed on the CPU only")
        require_pairs(task.structure)
        jax = _jax()
        from jax.sharding import NamedSharding, PartitionSpec

        cores = jax.devices("cpu")
        mesh = jax.sharding.Mesh(np.array(cores[: gcd(len(task), len(cores))]), ("models",))
        split, whole = PartitionSpec("models"), PartitionSpec()

        def shared(array: np.ndarray[Any, Any]) -> Any:
            return jax.device_put(array, NamedSharding(mesh, split))

        initial = initial_params(task)
        params, first, second = (
            {name: shared(value * factor) for name, value in initial.items()}
            for factor in (1, 0, 0)
        )
        self.carry = Carry(
            params, first, second, jax.device_put(np.int32(0), NamedSharding(mesh, whole))
        )
        spread = Carry(split, split, split, whole)

        def advance(carry: Carry, steps: int) -> Any:
            run = partial(_train, steps=steps, structure=task.structure, lr=float(task.lr[0]))
            return jax.shard_map(
                run, mesh=mesh, in_specs=(spread,), out_specs=spread, check_vma=False
            )(carry)

        self._advance = jax.jit(advance, static_argnames="steps", donate_argnums=0)

    def advance(self, steps: int) -> None:
        """Train so many more steps in one call."""
        self.carry = self._advance(self.carry, steps)
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


def _train(carry: Carry, *, steps: int, structure: Structure, lr: float) -> Carry:
    """One device's share of `steps` steps."""
    import jax

    key = jax.random.fold_in(jax.random.key(0), jax.lax.axis_index("models"))
    models = len(carry.params["W_E"])

    def loss(params: Any, tokens: Any) -> Any:
        return jax.vmap(partial(_loss, structure))(params, tokens).sum()

    def step(carry: Carry, _: None) -> tuple[Carry, None]:
        tokens = _draw(jax.random.fold_in(key, carry.step), structure, models)
        return _adam(carry, jax.grad(loss)(carry.params, tokens), lr), None

    trained: Carry = jax.lax.scan(step, carry, length=steps)[0]
    return trained


def _draw(key: Any, structure: Structure, models: int) -> Any:
    """Tokens [M, B, T + 1]."""
    import jax
    import jax.numpy as jnp

    s, size = structure, (models, structure.batch_size)
    of_values, of_keys = jax.random.split(key)
    values = jax.random.randint(of_values, (*size, s.keys), s.keys, s.keys + s.values)
    keys = jax.random.randint(of_keys, (*size, (s.context + 1) // 2), 0, s.keys)
    body = jnp.stack([keys, jnp.take_along_axis(values, keys, -1)], -1).reshape(*size, -1)[
        ..., : s.context
    ]
    return jnp.concatenate([jnp.full((*size, 1), s.keys + s.values), body], -1)


def _loss(structure: Structure, params: Any, tokens: Any) -> Any:
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


def _adam(carry: Carry, grads: Any, lr: float) -> Carry:
    """Kingma & Ba 2015, as in torch.optim."""
    import jax
    import jax.numpy as jnp

    step = carry.step + 1
    beta1, beta2, eps = FAMILY.adam
    correction1 = 1 - jnp.float32(beta1) ** step
    correction2 = 1 - jnp.float32(beta2) ** step
    first = jax.tree.map(lambda old, g: beta1 * old + (1 - beta1) * g, carry.first, grads)
    second = jax.tree.map(lambda old, g: beta2 * old + (1 - beta2) * g * g, carry.second, grads)

    def updated(param: Any, mean: Any, square: Any) -> Any:
        return param - lr * (mean / correction1 / (jnp.sqrt(square / correction2) + eps))

    return Carry(jax.tree.map(updated, carry.params, first, second), first, second, step)
