"""Which engine trains a structure, and why."""

from __future__ import annotations

import pytest
import torch

from superpos.engines import choose
from superpos.engines.cpu import FusedCpuEngine
from superpos.engines.reference import ReferenceEngine
from superpos.errors import ConfigError
from superpos.task import Structure


def test_choice_of_an_engine() -> None:
    plain, points = Structure(5, 2), Structure(5, 2, n_points=10)
    assert choose(plain).engine.name == "fused"
    assert choose(plain, backend="fused", threads=2).engine == FusedCpuEngine(2)
    forced = choose(plain, backend="reference", device="cpu", threads=3, memory_gb=0.5)
    assert forced == (ReferenceEngine("cpu", 3, 0.5), "engine.backend=reference")
    given_up = choose(points)
    assert given_up.engine.name == "reference"
    assert "data.n_points" in given_up.reason
    with pytest.raises(ConfigError, match=r"engine\.backend: fused .*n_points.* use engine\.backend=reference"):
        choose(points, backend="fused")


def test_a_device_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for backend in ("auto", "reference", "fused"):
        with pytest.raises(ConfigError, match=r"engine\.device: cuda"):
            choose(Structure(5, 2), backend=backend, device="cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(ConfigError, match=r"fused engine runs on the CPU only"):
        choose(Structure(5, 2), backend="fused", device="cuda")
    assert choose(Structure(5, 2), device="cuda").engine == ReferenceEngine("cuda")
