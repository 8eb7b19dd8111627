"""Compiles the GPU engine's kernels for devices that need not be there, and reads what they use
from the result.

Run as a script, since Triton compiles only in a process that was not started for its interpreter:

    TRITON_INTERPRET=0 python tests/support/gpu_resources.py 90 '{"n_features": 5, "n_hidden": 2}'
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
import triton
from tasks import make_task, start
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from superpos.families.tms import gpu
from superpos.families.tms.gpu import kernels
from superpos.families.tms.structure import Task

TYPES = {
    torch.float32: "*fp32", torch.float64: "*fp64", torch.int32: "*i32", torch.int64: "*i64",
    torch.uint32: "*u32", torch.uint64: "*u64",
}  # fmt: skip
TOOLS = Path(triton.__file__).parent / "backends" / "nvidia" / "bin"


def signature(argument: Any) -> Any:
    """Triton's name of the type of what is passed to a kernel."""
    if isinstance(argument, torch.Tensor):
        return TYPES[argument.dtype]
    if isinstance(argument, tuple) and hasattr(argument, "_fields"):
        return type(argument)(*map(signature, argument))
    return "i32"


class Recorder:
    """Stands where a kernel is launched, and compiles it instead."""

    def __init__(self, kernel: Any, capability: int, found: dict[str, Any]) -> None:
        self.kernel, self.capability, self.found = kernel, capability, found

    def __getitem__(self, grid: tuple[int, ...]) -> Any:
        return self.compile

    def compile(self, *arguments: Any, **named: Any) -> None:
        options = {
            name: value for name, value in named.items() if name not in self.kernel.arg_names
        }
        given = dict(zip(self.kernel.arg_names, arguments, strict=False)) | named
        types = {
            p.name: "constexpr" if p.is_constexpr else signature(given[p.name])
            for p in self.kernel.params
        }
        constants = {p.name: given[p.name] for p in self.kernel.params if p.is_constexpr}
        source = ASTSource(self.kernel, types, constants)
        done = triton.compile(
            source, target=GPUTarget("cuda", self.capability, 32), options=options
        )
        fused = done.asm["ptx"].count("fma.rn.f64")
        self.found[self.kernel.__name__] = resources(done.asm["cubin"]) | {
            "shared": done.metadata.shared,
            "fused64": fused,
        }


def resources(cubin: bytes) -> dict[str, int]:
    """Registers of a thread, and bytes of its local memory and stack: what does not fit into
    registers.
    """
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        shown = subprocess.run(
            [TOOLS / "cuobjdump", "-res-usage", file.name],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    return {
        key.lower(): int(re.search(rf"{key}:(\d+)", shown)[1]) for key in ("REG", "STACK", "LOCAL")
    }


def compiled(task: Task, capability: int) -> dict[str, dict[str, int]]:
    """What every kernel of a task uses, by its name."""
    found: dict[str, Any] = {}
    for name, kernel in list(vars(kernels).items()):
        if isinstance(kernel, triton.JITFunction) and kernel.__module__ == kernels.__name__:
            setattr(kernels, name, Recorder(kernel, capability, found))
    engine, state = gpu.FusedGpuEngine("cpu"), start(task)
    engine.advance(task, state, 2)
    engine.gradients(task, state.params, 0)
    engine.evaluate(task, state.params, 10_000)
    return found


if __name__ == "__main__":
    arguments = json.loads(sys.argv[2])
    task = make_task(arguments.pop("n_features"), arguments.pop("n_hidden"), **arguments)
    sys.stdout.write(json.dumps(compiled(task, int(sys.argv[1]))))
