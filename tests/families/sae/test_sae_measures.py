"""Measures of dictionaries on runs that stay where they start, the truth, and on tables by hand."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

import superpos
from superpos.families.sae import metrics, theory
from superpos.families.sae.analysis import baselines, optima, points, scores, worlds
from superpos.families.sae.analysis.sparse_coding import fista
from superpos.families.sae.measures import coding, exact, setting
from superpos.families.sae.results import pw_mcc
from superpos.store import Run

ORTHONORMAL = ["world.dictionary=orthonormal", "world.frequency=constant"]
PAIR = [
    "world.dictionary=orthonormal",
    "world.magnitude=one",
    "world.n_features=2",
    "world.n_dims=4",
]
RUNS = {
    "equal": [
        *ORTHONORMAL,
        "world.n_features=4",
        "world.n_dims=4",
        "world.active=0.8",
        "sae.l1=0.2,0.4",
        "sae.decoder_bias=false",
    ],
    "zipf": [
        "world.dictionary=orthonormal",
        "world.frequency=zipf",
        "world.active=1.5",
        "world.n_features=8",
        "world.n_dims=8",
        "sae.latents=2,4",
        "sae.decoder_bias=false",
        "sae.l1=0.2",
    ],
    "sphere": ["world.n_features=8", "world.n_dims=4", "world.active=1.5", "sae.l1=0.05"],
    "correlated": [
        "world.n_features=3",
        "world.n_dims=3",
        "world.active=1.2",
        "world.frequency=constant",
        "sae.kind=batchtopk",
        "sae.k=1",
        "world.rho=[1,-0.5,-0.5],[1,0.5,0.5]",
    ],
    "single": [*PAIR, "sae.latents=1", "world.tree=[{p: 0.3, children: [0.5]}]"],
    "pair": [
        *PAIR,
        "sae.latents=2,3",
        "sae.decoder_bias=false",
        "sae.l1=0.2",
        "world.tree=[{p: 0.2, children: [0.5], alone: 0.125}]",
    ],
    "worlds": ["world.n_features=6", "world.n_dims=4", "world.seed=0,1", "seed=0,1"],
    "seeds": ["world.n_features=6", "world.n_dims=4", "sae.start=random", "seed=0,1,2"],
}

TOYS = [
    "model.n_features=5",
    "model.n_hidden=2",
    "data.density=0.5",
    "train.steps=300",
    "train.batch_size=64",
    "train.lr=0.01",
]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    out = tmp_path_factory.mktemp("runs")

    @cache
    def run(name: str) -> Run:
        start = [] if name == "seeds" else ["sae.start=truth"]
        return superpos.train(["family=sae", "train.steps=0", *start, *RUNS[name]], out=out)

    return run


def test_untrained_codes_do_not_shrink(made: Callable[[str], Run]) -> None:
    """E = D = A and b_e = 0: f = x, so that the loss is λ E Σ x."""
    run = made("equal")
    for penalty in (0.2, 0.4):
        where = {"sae.l1": penalty}
        best = theory.l1_optimum(0.2, penalty, decoder_bias=False)
        [point] = [p for p in points.settings(run) if p.number("sae.l1") == penalty]
        found = optima.shrunk(run, point)
        np.testing.assert_allclose(found.bias, 0, atol=1e-9)
        np.testing.assert_allclose(found.loss * best.loss, penalty * 0.2 / 2, rtol=0.03)
        fires = setting.greatest(run, "l0", "sae.l1", where).values / 4
        np.testing.assert_allclose(found.l0 * best.l0, fires)
        np.testing.assert_allclose(found.gamma * best.gamma, 1, rtol=1e-5)
        for of, ratio in found._asdict().items():
            error = exact.shrunk_error(run, of, where).values
            np.testing.assert_allclose(error, [abs(ratio.mean() - 1)])
    np.testing.assert_allclose(exact.lean(run).values, 0, atol=1e-3)


def test_the_most_frequent_features_are_found(made: Callable[[str], Run]) -> None:
    run = made("zipf")
    p = 1.5 / np.arange(1, 9) / (1 / np.arange(1, 9)).sum()
    np.testing.assert_allclose(worlds.densities(run, 0), p)
    np.testing.assert_allclose(exact.top_found(run).values, 1)
    np.testing.assert_allclose(exact.half_found(run).expected, p[0])  # p_m m = K / H_G
    halves = [2 * np.sqrt(p[1] * p[2]), 4 * np.sqrt(p[3] * p[4])]
    np.testing.assert_allclose(exact.half_found(run).values, halves)
    losses = [0.2 * p[:m].sum() / 2 + p[m:].sum() / 3 for m in (2, 4)]
    line = theory.scaling_loss(p, [2, 4], 0.2, decoder_bias=False)
    np.testing.assert_allclose(exact.scaling(run).values, losses / line, rtol=0.02)


def test_latents_of_others_beside_the_first_feature(made: Callable[[str], Run]) -> None:
    run = made("correlated")
    A = worlds.features(run, 0)
    expected = (A[1:] @ A[0]).mean()
    for rho in (-0.5, 0.5):
        np.testing.assert_allclose(exact.with_first(run, rho).values, expected, rtol=1e-5)
    assert len(exact.with_first(run, 0.1).values) == 0
    np.testing.assert_allclose(exact.with_first(run).values, expected, rtol=1e-5)
    assert [optima.first_correlation(point) for point in points.settings(run)] == [-0.5, 0.5]


def test_a_latent_of_the_parent_is_not_hedged(made: Callable[[str], Run]) -> None:
    run = made("single")
    found = exact.hedge(run)
    np.testing.assert_allclose(found.values, 0, atol=1e-6)
    np.testing.assert_allclose(found.expected, theory.hedging_cosines(0.3, 0.5).child)


def test_parents_are_not_hedged_at_the_truth(made: Callable[[str], Run]) -> None:
    found = exact.of_parents(made("single"))
    np.testing.assert_allclose(found.values, 1, atol=1e-6)
    np.testing.assert_allclose(found.expected, theory.hedging_cosines(0.3, 0.5).parent)


def test_no_latent_of_the_sum_at_the_truth(made: Callable[[str], Run]) -> None:
    run = made("pair")
    np.testing.assert_allclose(exact.leak(run, {"sae.latents": 2}).values, 0, atol=1e-6)
    assert exact.composed_share(run).values.tolist() == [0, 0]
    found = optima.composed(run, points.settings(run)[0])
    np.testing.assert_allclose([found.truth, found.exact], [0.076, 0.0653], atol=5e-5)
    best = exact.composed_best(run, {"sae.latents": 2}).values
    np.testing.assert_allclose(best, 0.2 * (2 * 0.1 + 0.1 * 2) / 0.0653, rtol=0.03)  # λ E Σ f


def test_codes_of_sparse_coding_are_the_better_ones(made: Callable[[str], Run]) -> None:
    """An encoder that is the transposed decoder fires at all that overlaps."""
    run = made("sphere")
    assert coding.f1_gap(run).values[0] > 0.1
    found = scores.sparse_coded(run, 0, 0.05)
    assert found.f1 > 0.7
    assert found.fvu < 0.05


def test_the_agreement_of_seeds_by_hand(made: Callable[[str], Run]) -> None:
    run = made("seeds")
    agreement = pw_mcc(run, np.array([0, 1, 2]))
    pairs = ((0, 1), (0, 2), (1, 2))
    by_hand = [
        metrics.mcc(
            metrics.all_cosines(run.weights(i)["D"], run.weights(j)["D"]),
            run.weights(j)["rate"] > 0,
        )
        for i, j in pairs
    ]
    assert all((run.weights(i)["rate"] > 0).all() for i in range(3))
    np.testing.assert_allclose(agreement, np.mean(by_hand))
    [error] = setting.agreement_error(run).values
    np.testing.assert_allclose(error, agreement - run.table["mcc"].mean())
    assert len(setting.agreement_error(run, {"seed": 0}).values) == 0
    one_way = np.abs(metrics.all_cosines(worlds.features(run, 1), run.weights(1)["D"]))
    rows, columns = linear_sum_assignment(-one_way)
    excess = one_way[rows, columns].mean() - run.table["mcc"][1]
    np.testing.assert_allclose(setting.unsigned_excess(run, {"seed": 1}).values, [excess])
    assert excess > 0.01
    by_hand = run.table["mmcs"] - theory.chance(4, 6)
    np.testing.assert_allclose(setting.above_chance(run).values, by_hand)
    random = scores.baseline_mmcs(run, "random", np.array([0, 1]))
    assert random[0] == random[1]
    over = setting.over_baseline(run, "random", {"seed": [0, 1]}).values
    np.testing.assert_allclose(over, run.table["mmcs"][:2] - random)


def test_seeds_are_compared_within_their_world(made: Callable[[str], Run]) -> None:
    """All start at the truth of their own world: they agree fully there, and not between worlds."""
    run = made("worlds")
    np.testing.assert_allclose(setting.agreement_error(run).values, 0, atol=1e-6)
    assert len(setting.agreement_error(run).values) == 2
    assert run.by_setting()["pw_mcc"].tolist() == pytest.approx([1, 1])


def test_baselines_are_scored_on_what_a_source_represents(tmp_path: Path) -> None:
    """Toys of more features than they represent: a score is the same for an SAE and a baseline."""
    toys = superpos.train([*TOYS, "name=toys"], out=tmp_path)
    own = ["family=sae", f"sae.source={toys.path}", "train.steps=0", "sae.latents=3"]
    run = superpos.train([*own, "sae.l1=0.05"], out=tmp_path)
    scored = np.linalg.norm(toys.weights(0)["W"], axis=1) > 0.5
    assert 0 < scored.sum() < len(scored)
    drawn = worlds.samples(run, 0, 2**14)
    D = baselines.learned("k-means", drawn.activations, 3)
    nearest = (
        D @ toys.weights(0)["W"][scored].T / np.linalg.norm(toys.weights(0)["W"][scored], axis=1)
    ).max(axis=0)
    np.testing.assert_allclose(
        scores.baseline_mmcs(run, "k-means", np.array([0])), nearest.mean(), rtol=1e-6
    )
    every = scores.sparse_coded(run, 0, 0.05).f1
    drawn = worlds.samples(run, 0, 4096)
    code = fista(drawn.activations, worlds.decoders(run, np.array([0]))[0], 0.05)
    latent = metrics.all_cosines(toys.weights(0)["W"], run.weights(0)["D"]).argmax(axis=1)
    fires, active = code[:, latent] > 0, drawn.codes > 0
    f1 = 2 * (fires & active).sum(0) / (fires.sum(0) + active.sum(0))
    np.testing.assert_allclose(every, f1[scored].mean())
    assert abs(f1[scored].mean() - f1.mean()) > 0.01


@pytest.fixture
def table(made: Callable[[str], Run]) -> Run:
    """Two penalties, two sizes, two seeds, by hand."""
    run = superpos.load(made("seeds").path)
    rows = run.table.loc[[0, 1, 2, 0, 1, 2, 0, 1]].reset_index(drop=True)
    rows["sae.l1"] = [0.1, 0.1, 0.3, 0.3, 0.1, 0.1, 0.3, 0.3]
    rows["sae.latents"] = [4, 4, 4, 4, 8, 8, 8, 8]
    rows["mmcs"] = [0.5, 0.7, 0.9, 0.7, 0.6, 0.8, 0.2, 0.4]
    rows["fvu"] = [0.1, 0.1, 0.2, 0.2, 0.1, 0.1, 0.2, 0.2]
    run.table = rows
    return run


def test_means_of_settings_by_hand(table: Run) -> None:
    four = {"sae.latents": 4}
    np.testing.assert_allclose(setting.greatest(table, "mmcs", "sae.l1", four).values, [0.8])
    np.testing.assert_allclose(setting.place_of_least(table, "mmcs", "sae.l1", four).values, [0.1])
    places = setting.ratio_of_places(table, "mmcs", "sae.l1", "sae.latents")
    np.testing.assert_allclose(places.values, [3, 1])
    low, high = {"sae.l1": 0.1}, {"sae.l1": 0.3}
    np.testing.assert_allclose(setting.between(table, "mmcs", high, low).values, [0.55 - 0.65])
    np.testing.assert_allclose(setting.relative(table, "fvu", high, low).values, [2])
    table.table["mmcs"] = 0.1
    assert np.isnan(setting.ratio_of_places(table, "mmcs", "sae.l1", "sae.latents").values).all()
