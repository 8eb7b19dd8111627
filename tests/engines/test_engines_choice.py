"""Which engine trains a structure, and why."""

from __future__ import annotations

import pytest
import torch
from tms import engine_of, reference

from superpos import engines
from superpos.errors import ConfigError
from superpos.families.tms.cpu import FusedCpuEngine
from superpos.families.tms.structure import Structure


def test_choice_of_an_engine() -> None:
    plain, normal = Structure(5, 2), Structure(5, 2, output="linear", values="normal")
    assert engine_of(plain).engine.name == "fused"
    assert engine_of(plain, backend="fused", threads=2).engine == FusedCpuEngine(2)
    forced = engine_of(plain, backend="reference", device="cpu", threads=3, memory_gb=0.5)
    assert forced == (reference("cpu", 3, 0.5), "engine.backend=reference")
    given_up = engine_of(normal)
    assert given_up.engine.name == "reference"
    assert "data.values=normal" in given_up.reason
    with pytest.raises(
        ConfigError,
        match=r"engine\.backend: fused .*data\.values=normal.* use engine\.backend=reference",
    ):
        engine_of(normal, backend="fused")


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for backend in ("auto", "reference", "fused"):
        with pytest.raises(ConfigError, match=r"engine\.device: cuda"):
            engine_of(Structure(5, 2), backend=backend, device="cuda")


def test_choice_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("triton")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    plain, points = Structure(5, 2), Structure(5, 2, n_points=10)
    for backend in ("auto", "fused"):
        assert engine_of(plain, backend, "cuda").engine.name == "fused-gpu"
    assert engine_of(plain, "reference", "cuda").engine == reference("cuda")
    assert engine_of(plain).engine.name == "fused"  # on the CPU, unless the device is asked for
    given_up = engine_of(points, device="cuda")
    assert given_up.engine == reference("cuda")
    assert "data.n_points" in given_up.reason
    with pytest.raises(
        ConfigError, match=r"engine\.backend: fused .*GPU.*n_points.* use engine\.backend=reference"
    ):
        engine_of(points, backend="fused", device="cuda")


def test_without_triton_a_gpu_has_the_reference(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(engines, "find_spec", lambda name: None)
    given_up = engine_of(Structure(5, 2), device="cuda")
    assert given_up.engine == reference("cuda")
    with pytest.raises(ConfigError, match=r"needs triton: pip install \"superpos\[gpu\]\""):
        engine_of(Structure(5, 2), backend="fused", device="cuda")
