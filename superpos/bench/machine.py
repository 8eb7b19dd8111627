"""On what a benchmark ran, and how fast that is at best."""

from __future__ import annotations

import os
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from superpos.engines.machine import available_threads
from superpos.errors import ConfigError

_PACKAGES = ("torch", "numpy", "numba", "triton", "jax")
_PEAK_SECONDS = 0.2


def require(device: str) -> None:
    """Raises `ConfigError` where the device is not there."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--device: cuda was asked for, but torch finds no CUDA device; allowed here: cpu"
        )


def facts(device: str) -> dict[str, str]:
    """Processor, cores, versions, and the load that other programs put on the machine, by name."""
    found = {"processor": _processor(), "cores": str(available_threads())}
    if device == "cuda":
        found["device"] = torch.cuda.get_device_name()
    if hasattr(os, "getloadavg"):
        found["load before"] = f"{os.getloadavg()[0]:.1f}"
    found["python"] = platform.python_version()
    return found | {name: release for name in _PACKAGES if (release := _version(name))}


def peak_gflops(device: str) -> float:
    """The best float32 product of two square matrices, for a fifth of a second, in GFLOP/s."""
    size = 8192 if device == "cuda" else 1024
    a, b = torch.rand(2, size, size, device=device)

    def product_seconds() -> float:
        start = time.perf_counter()
        torch.mm(a, b)
        synchronise(device)
        return time.perf_counter() - start

    best = product_seconds()
    end = time.perf_counter() + _PEAK_SECONDS
    while time.perf_counter() < end:
        best = min(best, product_seconds())
    return 2 * size**3 / best / 1e9


def synchronise(device: str) -> None:
    """Wait until the device has done what it was given."""
    if device == "cuda":
        torch.cuda.synchronize()


def _processor() -> str:
    """Name, family and model as Linux tells them: virtual machines often hide the rest.

    Elsewhere the name alone.
    """
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().split("\n\n")[0].splitlines() if cpus.exists() else []
    told = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "model name" not in told:
        return platform.processor() or platform.machine()
    vectors = "AVX-512" if "avx512f" in told.get("flags", "").split() else "AVX2"
    return f"{told['model name']} (family {told['cpu family']}, model {told['model']}, {vectors})"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
