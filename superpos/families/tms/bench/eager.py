"""The published notebook's way of training (Elhage et al. 2022), as it is and through
`torch.compile`.

All models are stacked as [batch, models, features]: two uniform draws a cell, einsum, autograd, one
AdamW for all.
"""

from __future__ import annotations

import atexit
import logging
import os
import tempfile
from functools import cache
from typing import Any

import torch

from superpos.bench.sides import MissingError
from superpos.engines import Params
from superpos.families.tms import FAMILY, model
from superpos.families.tms.structure import Task


class EagerSide:
    """The notebook's loop.

    Where models differ in learning rate or weight decay it takes those of the first.
    """

    def __init__(self, task: Task, device: str) -> None:
        def tensor(values: object) -> torch.Tensor:
            return torch.asarray(values, dtype=torch.float32, device=device, copy=True)

        self.batch, self.device = task.structure.batch_size, torch.device(device)
        self.density, self.importance = tensor(task.density), tensor(task.importance)  # [M, F]
        initial = model.initial_params(task)
        self.weight, self.bias = (tensor(initial[name]).requires_grad_() for name in ("W", "b"))
        # there, only a capturable optimiser can be part of a CUDA graph
        on_gpu = self.device.type == "cuda"
        lr = float(task.lr[0])
        decay = float(task.weight_decay[0])
        *betas, eps = FAMILY.adam
        self.optimizer = torch.optim.AdamW(
            [self.weight, self.bias],
            lr,
            (betas[0], betas[1]),
            eps,
            weight_decay=decay,
            capturable=on_gpu,
        )
        self.loss, self.update = self._loss, self.optimizer.step

    def advance(self, steps: int) -> None:
        """Train so many more steps."""
        for _ in range(steps):
            self.optimizer.zero_grad(set_to_none=True)
            self.loss().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
            self.update()
        if self.device.type == "cuda":
            torch.cuda.synchronize()

    def params(self) -> Params:
        """The weights now."""
        return {
            name: value.detach().cpu().numpy()
            for name, value in (("W", self.weight), ("b", self.bias))
        }

    def _loss(self) -> torch.Tensor:
        """The sum over the models of their losses on a fresh batch."""
        size = (self.batch, *self.density.shape)
        values = torch.rand(size, device=self.device)
        x = torch.where(
            torch.rand(size, device=self.device) <= self.density, values, torch.zeros_like(values)
        )
        hidden = torch.einsum("bmf,mfh->bmh", x, self.weight)
        out = torch.relu(torch.einsum("bmh,mfh->bmf", hidden, self.weight) + self.bias)
        return (self.importance * (x - out) ** 2).mean(dim=(0, 2)).sum()


def compiled_side(task: Task, device: str) -> EagerSide:
    """The same loop with loss, gradient and optimiser compiled by Inductor: to C++ on the CPU, CUDA
    graphs on a GPU.

    Raises `MissingError` where they cannot be compiled, most often for want of a compiler.
    """
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", _own_folder())
    side = EagerSide(task, device)
    # one for every shape; beyond the limit it would run uncompiled
    torch._dynamo.config.recompile_limit = 1000
    # that the optimiser is not profiled is no news
    logging.getLogger("torch._dynamo").setLevel(logging.ERROR)
    # Inductor's draws are the slower ones in C++
    options: dict[str, Any] = {"fallback_random": True}
    if side.device.type == "cuda":
        options = {"triton.cudagraphs": True}
    side.loss = torch.compile(side.loss, dynamic=False, options=options)
    side.update = torch.compile(side.update, dynamic=False, options=options)
    try:
        side.loss().backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
    except RuntimeError as error:
        raise MissingError(f"torch.compile: {str(error).strip().splitlines()[0]}") from error
    return side


@cache
def _own_folder() -> str:
    """A folder that is removed when the program ends.

    Inductor loads compiled code from /tmp/torchinductor_USER otherwise, which anybody may have made
    and filled before.
    """
    folder = tempfile.TemporaryDirectory(prefix="superpos-inductor-")
    atexit.register(folder.cleanup)
    return folder.name
