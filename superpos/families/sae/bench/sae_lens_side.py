"""How SAELens trains the same autoencoders: its own training step, one autoencoder after another.

It lets the rows of D have any length, weighs the penalty by them, and clips gradients, so the
losses that it reaches are its own. Activations are drawn as by the other torch programs.
"""

from __future__ import annotations

from typing import Any

import torch

from superpos.bench.sides import MissingError
from superpos.engines import Params
from superpos.families.sae import FAMILY
from superpos.families.sae.bench.torch_sides import Inputs, require_cpu, warmup_steps
from superpos.families.sae.model import initial_params
from superpos.families.sae.structure import Task


class _Trainer:
    """One autoencoder with the trainer of SAELens."""

    def __init__(self, task: Task, model: int) -> None:
        from sae_lens.config import SAETrainerConfig
        from sae_lens.training.sae_trainer import SAETrainer

        beta1, beta2, _ = FAMILY.adam
        batch_size = task.structure.batch_size
        config = SAETrainerConfig(
            total_training_samples=task.structure.steps * batch_size,
            train_batch_size_samples=batch_size,
            lr=float(task.lr[model]),
            lr_end=float(task.lr[model]),
            adam_beta1=beta1,
            adam_beta2=beta2,
        )
        self.inputs = Inputs(task, slice(model, model + 1))
        self.trainer = SAETrainer(config, _autoencoder(task, model), iter(()))

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        for _ in range(steps):
            self.trainer.step(self.inputs.batch()[0])
            self.trainer.n_training_steps += 1

    @torch.no_grad()
    def params(self) -> dict[str, torch.Tensor]:
        """The weights now, by superpos' names, with rows of D of length 1."""
        sae = self.trainer.sae
        length = sae.W_dec.norm(dim=-1)
        found = {
            "E": sae.W_enc.T * length[:, None],
            "D": sae.W_dec / length[:, None],
            "b_e": sae.b_enc * length,
            "b_d": sae.b_dec,
        }
        if hasattr(sae, "threshold"):
            found["theta"] = sae.threshold * length
        return {name: value.detach().clone() for name, value in found.items()}


def _autoencoder(task: Task, model: int) -> Any:
    """An autoencoder of SAELens with the first weights of this model."""
    import sae_lens

    structure = task.structure
    shape = {"d_in": structure.n_dims, "d_sae": structure.latents, "apply_b_dec_to_input": True}
    warmup = warmup_steps(structure)
    penalty = float(task.penalty[model])
    k = float(task.k[model])
    sae: Any
    if structure.kind == "topk":
        sae = sae_lens.TopKTrainingSAE(sae_lens.TopKTrainingSAEConfig(k=round(k), **shape))
    elif structure.kind == "batchtopk":
        sae = sae_lens.BatchTopKTrainingSAE(sae_lens.BatchTopKTrainingSAEConfig(k=k, **shape))
    elif structure.kind == "jumprelu":
        jumprelu = sae_lens.JumpReLUTrainingSAEConfig(
            jumprelu_init_threshold=float(task.theta[model]),
            jumprelu_bandwidth=float(task.bandwidth[model]),
            l0_coefficient=penalty,
            l0_warm_up_steps=warmup,
            **shape,
        )
        sae = sae_lens.JumpReLUTrainingSAE(jumprelu)
    else:
        l1 = sae_lens.StandardTrainingSAEConfig(
            l1_coefficient=penalty, l1_warm_up_steps=warmup, **shape
        )
        sae = sae_lens.StandardTrainingSAE(l1)
    first = {name: torch.from_numpy(value[model]) for name, value in initial_params(task).items()}
    with torch.no_grad():
        sae.W_enc.copy_(first["E"].T)
        sae.W_dec.copy_(first["D"])
    return sae


class SaeLensSide:
    """One autoencoder after another. Raises `MissingError` where SAELens is not installed."""

    def __init__(self, task: Task, device: str) -> None:
        require_cpu(device)
        try:
            import sae_lens  # noqa: F401
        except ImportError:
            raise MissingError("SAELens is not installed (pip install sae-lens)") from None
        self.trainers = [_Trainer(task, model) for model in range(len(task))]

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        for trainer in self.trainers:
            trainer.advance(steps)

    def params(self) -> Params:
        """The weights now."""
        states = [trainer.params() for trainer in self.trainers]
        return {name: torch.stack([state[name] for state in states]).numpy() for name in states[0]}
