"""The same models explained by shap, captum and lime: where they agree, and which of their defects
are known.

The packages stand in an environment of their own, whose Python SUPERPOS_REFEREES names.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from places import SUPPORT
from referees import python_with

from superpos import explain

PACKAGES = ("shap", "captum", "lime")
REFEREE = python_with(*PACKAGES)
SCRIPT = SUPPORT / "explain_referees.py"

pytestmark = pytest.mark.skipif(
    not REFEREE, reason="needs shap, captum and lime, or SUPERPOS_REFEREES"
)


def model(n: int, m: int, seed: int) -> dict[str, Any]:
    """Random weights, inputs of which a third is 0, and a background."""
    rng = np.random.default_rng(seed)
    x = np.maximum(rng.random((6, n)) - 1 / 3, 0) * 1.5
    return {
        "W": rng.normal(size=(n, m)),
        "b": 0.3 * rng.normal(size=n),
        "x": x,
        "rows": rng.random((3, n)),
    }


@pytest.fixture(scope="module")
def cases() -> dict[str, Any]:
    cases = {
        f"{key} n{n}": value
        for n, m in ((5, 2), (8, 3), (12, 4))
        for key, value in model(n, m, n).items()
    }
    return cases | {"lime rows n5": np.random.default_rng(1).random((500, 5))}


@pytest.fixture(scope="module")
def answers(cases: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    folder = tmp_path_factory.mktemp("referees")
    np.savez(folder / "cases.npz", **cases)
    command = [str(REFEREE), str(SCRIPT), str(folder / "cases.npz"), str(folder / "answers.npz")]
    done = subprocess.run(
        command, capture_output=True, text=True, cwd=folder, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return dict(np.load(folder / "answers.npz"))


def of(cases: Mapping[str, Any], name: str, inputs: slice = slice(None)) -> tuple[Any, Any, Any]:
    """W, b, x of a case as one model."""
    return cases[f"W {name}"][None], cases[f"b {name}"][None], cases[f"x {name}"][inputs]


def gap(found: Any, expected: Any) -> float:
    return float(np.abs(found - expected).max())


def test_the_packages_are_those_whose_defects_are_known(answers: Mapping[str, Any]) -> None:
    assert [str(answers[f"version {name}"]) for name in PACKAGES] == ["0.51.0", "0.9.0", "0.2.0.1"]


@pytest.mark.parametrize("name", ["n5", "n8", "n12"])
def test_shapley_values_are_those_of_shap(
    cases: dict[str, Any], answers: Mapping[str, Any], name: str
) -> None:
    W, b, x = of(cases, name)
    assert (
        gap(explain.shapley(W, b, x, background=cases[f"rows {name}"])[0], answers[f"exact {name}"])
        < 1e-12
    )


def test_the_models_have_interactions_of_third_order(cases: dict[str, Any]) -> None:
    for name in ("n5", "n8", "n12"):
        W, b, _ = of(cases, name)
        n = W.shape[1]
        v = explain.value_table(W, b, np.ones((1, n)))[0, 0]
        third = v[:, 7] - v[:, 3] - v[:, 5] - v[:, 6] + v[:, 1] + v[:, 2] + v[:, 4] - v[:, 0]
        assert np.abs(third).max() > 0.01


def test_methods_by_gradients_are_those_of_captum(
    cases: dict[str, Any], answers: Mapping[str, Any]
) -> None:
    W, b, x = of(cases, "n5")
    rows = cases["rows n5"]
    own = {
        "deeplift": explain.integrated_gradients(W, b, x),
        "deepliftshap": explain.integrated_gradients(W, b, x, background=rows),
        "ablation": explain.occlusion(W, b, x),
        "input x gradient": explain.gradient_times_input(W, b, x),
    }
    gaps = {name: gap(values[0], answers[f"{name} n5"]) for name, values in own.items()}
    assert max(gaps.values()) < 1e-12, gaps


def test_lime_converges_to_the_closed_form(
    cases: dict[str, Any], answers: Mapping[str, Any]
) -> None:
    W, b, x = of(cases, "n5", slice(0, 1))
    rows = cases["lime rows n5"]
    errors = []
    for samples in (500, 20000):
        closed = explain.lime_coefficients(W, b, x, background=rows, samples=samples)[0, 0, 0]
        errors.append(np.sqrt(((answers[f"lime {samples} n5"] - closed) ** 2).mean()))
    assert errors[1] < 0.3 * errors[0]  # the root of 40 is 6.3
    assert errors[1] < 0.01


# Defects of the versions above, each as it was found.


def test_shap_0_51_kernel_keeps_ten_features_although_all_coalitions_are_there(
    cases: dict[str, Any], answers: Mapping[str, Any]
) -> None:
    own = {}
    for name in ("n8", "n12"):
        W, b, x = of(cases, name, slice(0, 2))
        own[name] = explain.shapley(W, b, x + 0.5)[0]
    assert gap(own["n8"], answers["kernel n8"]) < 1e-10
    assert gap(own["n12"], answers["kernel without selection n12"]) < 1e-10
    assert gap(own["n12"], answers["kernel n12"]) > 0.01
    assert gap(own["n12"].sum(-1), answers["kernel n12"].sum(-1)) < 1e-10  # and they still add up


def test_shap_0_51_cuts_a_background_to_100_rows(answers: Mapping[str, Any]) -> None:
    assert int(answers["kept n5"]) == 100


def test_shap_0_51_deep_is_wrong_where_one_relu_is_used_twice_and_captum_0_9_refuses(
    answers: Mapping[str, Any],
) -> None:
    assert gap(answers["deep reused n5"].sum(-1), answers["change reused n5"]) > 0.01
    assert str(answers["captum reused n5"]) != "passed"


def test_captum_0_9_integrates_with_fifty_steps_and_misses_the_kink(
    cases: dict[str, Any], answers: Mapping[str, Any]
) -> None:
    error = gap(explain.integrated_gradients(*of(cases, "n5"))[0], answers["ig n5"])
    assert 1e-4 < error < 0.1


def test_captum_0_9_kernelshap_differs_from_call_to_call_and_answers_in_single_precision(
    cases: dict[str, Any], answers: Mapping[str, Any]
) -> None:
    own = explain.shapley(*of(cases, "n5", slice(0, 2)))[0]
    first, again = answers["kernelshap n5"], answers["kernelshap again n5"]
    assert first.dtype == np.float32
    assert max(gap(first, again), gap(own, first)) > 1e-3


def test_lime_0_2_keeps_coefficients_of_a_regression_with_both_signs(
    answers: Mapping[str, Any],
) -> None:
    assert np.array_equal(answers["lime 500 n5"], -answers["lime opposite 500 n5"])
