"""Figures of dictionaries: each of a tiny run of its kind, and why others cannot be shown."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import matplotlib as mpl
import numpy as np
import pytest

import superpos
from superpos.families.sae import metrics
from superpos.families.sae.analysis import points
from superpos.families.sae.analysis.worlds import world as world_of
from superpos.families.sae.figures import arrows
from superpos.figures import registry
from superpos.store import Run

pytestmark = pytest.mark.slow

ORTHONORMAL = ["world.dictionary=orthonormal", "world.frequency=constant"]
EDGES = ((0.5, 0.0), (0.2, 0.0), (0.1, 0.2))
TREES = ",".join(f"[{{p: 0.3, children: [{q}], alone: {alone}}}]" for q, alone in EDGES)
RUNS = {
    "kinds": [
        "sae.kind=topk,batchtopk",
        "sae.tied=false,true",
        "sae.k=2",
        "world.n_features=6",
        "world.n_dims=4",
    ],
    "map": ["sae.l1=0.05,0.2,0.8", "sae.expansion=0.5,1", "world.n_features=6", "world.n_dims=4"],
    "shrinkage": [
        *ORTHONORMAL,
        "world.n_features=4",
        "world.n_dims=4",
        "world.active=0.4",
        "sae.l1=0.1,0.3,0.9",
        "sae.start=truth",
    ],
    "zipf": [
        "world.dictionary=orthonormal",
        "world.frequency=zipf",
        "world.active=1.5",
        "world.n_features=8",
        "world.n_dims=8",
        "sae.latents=2,4",
        "sae.start=truth",
    ],
    "correlated": [
        *ORTHONORMAL,
        "world.n_features=2",
        "world.n_dims=2",
        "world.active=0.8",
        "sae.kind=batchtopk",
        "sae.k=0.7,0.8",
        "sae.start=truth",
        "world.rho=[1,-0.5],[1,0],[1,0.5]",
    ],
    "hedging": [
        "world.dictionary=orthonormal",
        "world.magnitude=one",
        "world.n_features=2",
        "world.n_dims=3",
        "sae.latents=1",
        "sae.start=truth",
        f"world.tree={TREES}",
    ],
    "pair": [
        "world.dictionary=orthonormal",
        "world.magnitude=one",
        "world.n_features=2",
        "world.n_dims=5",
        "sae.latents=2,3",
        "sae.start=truth",
        "sae.decoder_bias=false",
        "sae.l1=0.2",
        "world.tree=[{p: 0.2, children: [0.5], alone: 0.125}]",
    ],
}
TOYS = {  # runs whose models are decoded: all of one size, or of several
    "decoded": ["model.n_features=4", "model.n_hidden=2"],
    "sizes": ["model.n_features=4,6", "model.n_hidden=2"],
    "widths": ["model.n_features=4", "model.n_hidden=2,3"],
}
KINDS = ["sae.kind=topk,batchtopk", "sae.tied=false,true", "sae.k=2"]
MORE = {
    "decoded": ["sae.l1=0.1,0.3"],
    "sizes": ["sae.l1=0.1,0.3,0.5", "sae.expansion=0.5,1"],
    "kinds of widths": KINDS,
    "one": ["world.n_features=6", "world.n_dims=4"],
    "single": ["world.n_features=1", "world.n_dims=1", "world.active=0.2"],
    "diverging": [*RUNS["map"], "train.lr=0.01,1e30"],
    "unfinished": RUNS["map"],
    "unfinished sizes": ["sae.l1=0.1,0.3"],
    "diverged pair": [*RUNS["pair"], "train.lr=1e30"],
    "correlated without k": [value for value in RUNS["correlated"] if "sae.k" not in value],
    "groups without children": [
        "world.dictionary=orthonormal",
        "world.n_features=4",
        "world.n_dims=4",
        "world.active=0.2",
        "world.magnitude=one",
        "sae.latents=1",
        "world.tree=[{p: 0.3}],[{p: 0.2}],[{p: 0.1}, {p: 0.2, children: [0.5]}]",
    ],
    "a child that never comes": [
        *(value for value in RUNS["pair"] if "world.tree" not in value),
        "world.tree=[{p: 0.2, children: [0]}]",
    ],
    "shrinkage in a tree": [*RUNS["shrinkage"], "world.tree=[{p: 0.1, children: [0.3]}]"],
}
SHOWN = {
    "mmcs_map": "map",
    "cosines": "map",
    "curves": "map",
    "bars": "pair",
    "baselines": "kinds",
    "recovered": "decoded",
    "arrows": "pair",
    "shrinkage": "shrinkage",
    "frequency": "zipf",
    "mixing": "correlated",
    "absorption": "pair",
    "composed": "pair",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    out = tmp_path_factory.mktemp("runs")

    few = ["train.steps=2", "train.batch_size=16"]

    @cache
    def toys(name: str) -> Run:
        return superpos.train([*few, *TOYS[name], "seed=0,1"], out=out)

    @cache
    def run(name: str) -> Run:
        own = ["family=sae", *few, f"name={name.replace(' ', '-')}", *(RUNS | MORE)[name]]
        last = name.rpartition(" ")[2]
        own += [f"sae.source={toys(last).path}"] if last in TOYS else []
        own += ["seed=0,1"] if name in RUNS else []
        shard = (0, 3) if name.startswith("unfinished") else None
        return superpos.train(own, out=out, shard=shard)

    return run


def texts(figure: mpl.figure.Figure) -> str:
    return "\n".join(text.get_text() for text in figure.findobj(mpl.text.Text))


@pytest.mark.parametrize("figure", SHOWN)
def test_every_figure_draws_its_run(made: Callable[[str], Run], figure: str) -> None:
    run = made(SHOWN[figure])
    assert registry.reasons(run)[figure] is None
    drawn = registry.draw(run, figure)
    assert drawn.findobj(mpl.lines.Line2D) or drawn.findobj(mpl.image.AxesImage)
    assert "nan" not in texts(drawn)


@pytest.mark.parametrize("name", [*RUNS, *MORE])
@pytest.mark.filterwarnings("error")
def test_every_run_has_its_figures_or_a_reason(made: Callable[[str], Run], name: str) -> None:
    run = made(name)
    assert run.complete == (not name.startswith("unfinished"))
    for figure, reason in registry.reasons(run).items():
        if reason is None:
            assert "nan" not in texts(registry.draw(run, figure)), figure
        else:
            assert reason.startswith(("needs", "has", "is", "shows")), figure


def test_models_of_a_source_stand_together_with_those_of_their_size(
    made: Callable[[str], Run],
) -> None:
    run = made("kinds of widths")
    chosen = points.settings(run)
    assert len(chosen) == 4 * 2
    for point in chosen:
        rows = run.table.loc[point.models]
        assert set(rows["world.n_dims"]) == {point.settings["world.n_dims"]}
        assert len(rows) == 2  # the seeds of the toy models
    titles = [axes.get_title() for axes in registry.draw(run, "baselines").axes]
    density = world_of(run, 0).density.sum()
    expected = [f"4 features in {d} dimensions, {density:.3g} active" for d in (2, 3)]
    assert titles == expected


@pytest.mark.parametrize(
    ("figure", "run", "words"),
    [
        ("mmcs_map", "shrinkage", "numbers of latents"),
        ("curves", "pair", "3 or more numbers"),
        ("shrinkage", "map", "needs world.dictionary=orthonormal"),
        ("frequency", "shrinkage", "needs world.frequency=zipf"),
        ("mixing", "map", "correlations"),
        ("absorption", "map", "trees with children"),
        ("absorption", "groups without children", "trees with children"),
        ("absorption", "hedging", "two or more latents"),
        ("composed", "hedging", "needs sae.decoder_bias=false"),
        ("recovered", "map", "source run"),
        ("baselines", "map", "3 or more kinds"),
        ("arrows", "map", "two or three dimensions"),
        ("mmcs_map", "sizes", "worlds of one size"),
        ("composed", "diverged pair", "without diverging"),
        ("mixing", "correlated without k", "and k"),
        ("mixing", "groups without children", "trees of two"),
        ("shrinkage", "shrinkage in a tree", "needs world.tree=null"),
    ],
)
def test_why_not(made: Callable[[str], Run], figure: str, run: str, words: str) -> None:
    reason = registry.reasons(made(run))[figure]
    assert reason is not None
    assert words in reason


def test_hedged_latents_stand_on_their_exact_angle_at_the_principal_direction(
    made: Callable[[str], Run],
) -> None:
    """Before any training the latent is the parent itself: cosine 0 with the child."""
    drawn = registry.draw(made("hedging"), "mixing")
    dots = [line for line in drawn.axes[0].get_lines() if line.get_marker() == "o"]
    assert len(dots) == 3
    for line in dots:
        np.testing.assert_allclose(line.get_ydata(), 0, atol=0.02)


def test_latents_stand_in_the_order_of_their_features() -> None:
    C = np.array([[0.1, 0.9, 0.0], [0.8, 0.2, 0.1]])
    np.testing.assert_allclose(C[:, metrics.order(C)], [[0.9, 0.1, 0.0], [0.2, 0.8, 0.1]])


def test_arrows_lie_in_the_plane_of_the_features() -> None:
    A = np.array([[0.0, 2.0, 0.0, 0.0], [0.0, 0.0, 0.0, 1.0]])
    D = np.array([[0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 0.0]])
    of_features, of_latents = arrows.coordinates(A, D)
    np.testing.assert_allclose(of_features, np.eye(2), atol=1e-12)
    np.testing.assert_allclose(of_latents, [[0.5**0.5] * 2, [0, 0]], atol=1e-12)


def test_files(made: Callable[[str], Run]) -> None:
    name, content = registry.picture(made("map"), "mmcs_map", "png")
    assert (name, content[:4]) == ("mmcs_map.png", b"\x89PNG")
    assert content == registry.picture(made("map"), "mmcs_map", "png")[1]
