"""The baseline in JAX: jit(scan(vmapped step)) with AdamW (the paper's notebook has optax.adamw).

What every family's has in common: state is donated, so that it is updated in place; there is one
XLA device for each core, each with its share of the models, since XLA runs most of these loops on
one core; and Threefry without `jax_threefry_partitionable`, which computes every number twice (the
"rbg" generators are slower here). A family says what a model is: what it draws, and its loss.

Shapes: M models of a device.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import gcd
from typing import Any, NamedTuple

import numpy as np

from superpos.bench.sides import MissingError
from superpos.engines import Params
from superpos.engines.machine import available_threads
from superpos.family import Adam


@dataclass(frozen=True)
class Model:
    """What a family trains, in JAX."""

    draw: Callable[[Any, Any, int], Any]
    """(key, constants, M) -> the inputs of one step."""
    loss: Callable[[Any, Any, Any], Any]
    """(params, inputs, constants) -> the sum over the models of their losses."""
    adam: Adam
    lr: float
    weight_decay: float = 0.0


class Carry(NamedTuple):
    """What a step changes: parameters {name: [M, ...]}, AdamW's two moments of each, and the number
    of steps done.
    """

    params: Any
    first: Any
    second: Any
    step: Any


class JitScan:
    """Trains a family's models in JAX on the CPU.

    `constants` are arrays [M, ...] in whatever structure the family's functions read. Raises
    `MissingError` where JAX is not installed, and for another device.
    """

    def __init__(self, model: Model, initial: Params, constants: Any, device: str) -> None:
        if device != "cpu":
            raise MissingError("JAX is timed on the CPU only")
        jax = _jax()
        from jax.sharding import NamedSharding, PartitionSpec

        cores = jax.devices("cpu")
        models = len(next(iter(initial.values())))
        mesh = jax.sharding.Mesh(np.array(cores[: gcd(models, len(cores))]), ("models",))
        split = PartitionSpec("models")
        whole = PartitionSpec()

        def shared(array: np.ndarray[Any, Any]) -> Any:
            return jax.device_put(array, NamedSharding(mesh, split))

        params, first, second = (
            {name: shared(value * factor) for name, value in initial.items()}
            for factor in (1, 0, 0)
        )
        start = jax.device_put(np.int32(0), NamedSharding(mesh, whole))
        self.carry = Carry(params, first, second, start)
        self.constants = jax.tree.map(shared, constants)
        spread = Carry(split, split, split, whole)

        def advance(carry: Carry, constants: Any, steps: int) -> Any:
            run = partial(_train, model=model, steps=steps)
            return jax.shard_map(
                run, mesh=mesh, in_specs=(spread, split), out_specs=spread, check_vma=False
            )(carry, constants)

        self._advance = jax.jit(advance, static_argnames="steps", donate_argnums=0)

    def advance(self, steps: int) -> None:
        """Train so many more steps in one call."""
        self.carry = self._advance(self.carry, self.constants, steps)
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


def _train(carry: Carry, constants: Any, *, model: Model, steps: int) -> Carry:
    """One device's share of `steps` steps."""
    import jax

    key = jax.random.fold_in(jax.random.key(0), jax.lax.axis_index("models"))
    models = len(next(iter(carry.params.values())))

    def step(carry: Carry, _: None) -> tuple[Carry, None]:
        inputs = model.draw(jax.random.fold_in(key, carry.step), constants, models)
        return _adamw(carry, jax.grad(model.loss)(carry.params, inputs, constants), model), None

    trained: Carry = jax.lax.scan(step, carry, length=steps)[0]
    return trained


def _adamw(carry: Carry, grads: Any, model: Model) -> Carry:
    """Loshchilov & Hutter 2019, as in torch.optim; Adam where nothing decays."""
    import jax
    import jax.numpy as jnp

    step = carry.step + 1
    beta1, beta2, eps = model.adam
    correction1 = 1 - jnp.float32(beta1) ** step
    correction2 = 1 - jnp.float32(beta2) ** step
    first = jax.tree.map(lambda old, g: beta1 * old + (1 - beta1) * g, carry.first, grads)
    second = jax.tree.map(lambda old, g: beta2 * old + (1 - beta2) * g * g, carry.second, grads)

    def updated(param: Any, mean: Any, square: Any) -> Any:
        direction = mean / correction1 / (jnp.sqrt(square / correction2) + eps)
        return (1 - model.lr * model.weight_decay) * param - model.lr * direction

    return Carry(jax.tree.map(updated, carry.params, first, second), first, second, step)
