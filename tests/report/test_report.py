"""The explorer's page: what it holds, within which budget, and that no text of a run can break
it.
"""

from __future__ import annotations

import base64
import gzip
import json
import re
import shlex
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from typer.testing import CliRunner, Result

import superpos
from superpos import report
from superpos.cli import app
from superpos.compose.compose import compose
from superpos.families.tms import metrics
from superpos.families.tms.analysis import energy_levels, feature_graph
from superpos.families.tms.explorer import graphs
from superpos.report import parts as models
from superpos.report import sweep_axes
from superpos.report.pack import Pack, codes, half
from superpos.report.page_data import to_text
from superpos.report.parts import Coded, Part
from superpos.store import Run

pytestmark = pytest.mark.slow

SMALL = [
    "train.steps=30",
    "train.batch_size=32",
    "engine.backend=reference",
    "engine.threads=1",
    "record.loss_every=10",
]
PHASES = [
    "model.n_features=2",
    "model.n_hidden=1",
    "importance.last=0.3,1,3",
    "data.density=1,0.3,0.1",
    "seed=0,1",
]
FILMED = ["model.n_features=4", "seed=0,1", "record.snapshots=3"]
TYPES = {"f2": "<f2", "f4": "<f4", "u1": "<u1", "u2": "<u2", "u4": "<u4"}


class Elements(HTMLParser):
    """The script elements of a page by id, as a browser would part them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.scripts: dict[str, str] = {}
        self.count, self.current, self.title = 0, "", ""
        self.feed(text)

    def handle_starttag(self, tag: str, attributes: Any) -> None:
        if tag == "script":
            self.count += 1
        self.current = dict(attributes).get("id", "") if tag == "script" else tag

    def handle_data(self, data: str) -> None:
        if self.current == "title":
            self.title += data
        self.scripts[self.current] = self.scripts.get(self.current, "") + data

    def handle_endtag(self, tag: str) -> None:
        self.current = ""


class Page:
    """A page read back."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.elements = Elements(text)
        self.run: dict[str, Any] = json.loads(self.elements.scripts["run"])

    def array(self, found: dict[str, Any]) -> np.ndarray:
        data = gzip.decompress(base64.b64decode(self.elements.scripts[f"array-{found['array']}"]))
        return np.frombuffer(data, dtype=TYPES[found["type"]]).reshape(found["shape"])

    def models(self, kind: str) -> list[int]:
        return sorted(
            model for part in self.parts(kind) for model in self.array(part["models"]).tolist()
        )

    def parts(self, kind: str) -> list[dict[str, Any]]:
        return self.run["parts"].get(kind, [])

    @property
    def rows(self) -> dict[str, Any]:
        (rows,) = self.parts("rows")
        return rows

    def column(self, name: str) -> np.ndarray:
        return self.array(self.rows["arrays"][name])


def trained(folder: Path, *overrides: str, **options: Any) -> Run:
    return superpos.train([*SMALL, *overrides], out=folder, **options)


@pytest.fixture(scope="module")
def phases(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("runs"), "name=phases", *PHASES)


@pytest.fixture(scope="module")
def filmed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(tmp_path_factory.mktemp("runs"), "name=filmed", *FILMED)


@pytest.fixture(scope="module")
def explored(phases: Run) -> Page:
    return Page(report.page(phases))


# --- what it holds --------------------------------------------------------------------------------


def test_the_page_holds_the_table_as_it_is(phases: Run, explored: Page) -> None:
    page = explored
    assert_array_equal(page.array(page.rows["models"]), phases.table["model"])
    for name in ("loss", "d_star", "interference_max", "n_represented"):
        assert_array_equal(page.column(name), phases.table[name].to_numpy(dtype=np.float32))
    text = page.rows["arrays"]["geometry"]
    assert [text["names"][i] for i in page.array(text)] == phases.table["geometry"].tolist()
    assert page.run["omitted"] == []


def test_weights_and_features_are_those_of_the_models_to_three_digits(
    phases: Run, explored: Page
) -> None:
    page = explored
    (part,) = page.parts("weights")
    rows = page.array(part["models"])
    W, b = phases.tensor("W", rows), phases.tensor("b", rows)
    for name, expected in {
        "W": W,
        "b": b,
        "norm": metrics.feature_norms(W),
        "interference": metrics.interference(W),
        "dimensionality": metrics.dimensionality(W),
    }.items():
        assert_allclose(
            page.array(part["arrays"][name]), expected, rtol=1e-3, atol=1e-6, err_msg=name
        )
    assert_allclose(
        page.array(part["arrays"]["importance"])[:, -1], phases.table["importance.last"], rtol=1e-3
    )


def test_histories_and_snapshots_are_those_of_the_models(filmed: Run) -> None:
    page = Page(report.page(filmed))
    (history,), (snapshots,) = page.parts("history"), page.parts("snapshots")
    for place, model in enumerate(page.array(history["models"]).tolist()):
        steps, loss = filmed.history(model)
        assert history["steps"] == steps.tolist()
        assert_allclose(
            10.0 ** page.array(history["arrays"]["loss"])[place].astype(float), loss, rtol=5e-3
        )
        steps, weights = filmed.snapshots(model)
        assert snapshots["steps"] == steps.tolist()
        assert_allclose(
            page.array(snapshots["arrays"]["W"])[place], weights["W"], rtol=1e-3, atol=1e-6
        )
        expected = metrics.feature_norms(weights["W"])
        assert_allclose(page.array(snapshots["arrays"]["norm"])[place], expected, rtol=1e-3)


def test_models_of_different_shapes_stand_in_parts_of_their_own(tmp_path: Path) -> None:
    run = trained(tmp_path, "model.n_features=3,4", "model.n_hidden=2", "seed=0,1")
    parts = Page(report.page(run)).parts("weights")
    assert sorted(part["arrays"]["W"]["shape"] for part in parts) == [[2, 3, 2], [2, 4, 2]]


def test_a_relu_layer_has_neurons_and_no_graph(tmp_path: Path) -> None:
    run = trained(
        tmp_path, "model.n_features=4", "model.n_hidden=3", "model.hidden=relu", "model.tied=false"
    )
    page = Page(report.page(run))
    (part,) = page.parts("weights")
    assert page.parts("graphs") == []
    counts = metrics.neuron_monosemanticity(run.tensor("W1"))
    assert_array_equal(page.array(part["arrays"]["neurons"]), counts)


def bent(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return torch.tanh(x @ params["W"] @ params["W"].transpose(1, 2) + params["b"][:, None])


def gated(params: dict[str, torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    return x @ params["W"] @ params["V"] * params["gate"][:, None]


OWN = [
    (
        {"model": bent},
        {"W", "b"},
        {"W", "b", "norm", "interference", "dimensionality", "importance"},
    ),
    (
        {"model": gated, "params": {"W": ["n", "m"], "V": ["m", "n"], "gate": ["n"]}},
        {"W", "V", "gate"},
        None,
    ),
]


@pytest.mark.parametrize(("functions", "tensors", "arrays"), OWN)
def test_of_a_users_functions_the_page_shows_what_is_known(
    functions: dict[str, Any], tensors: set[str], arrays: set[str] | None, tmp_path: Path
) -> None:
    """Theory knows nothing of them, no command trains them, and a W of their own may mean
    anything.
    """
    page = Page(
        report.page(
            trained(tmp_path, "importance.last=1,2,3", "data.density=1,0.3,0.1", **functions)
        )
    )
    assert page.run["command"] is None
    assert page.run["layers"] == {"maps": [], "lines": [], "curves": [], "words": ""}
    (part,) = page.parts("weights")
    assert set(part["tensors"]) == tensors
    assert set(part["arrays"]) == (arrays or tensors)


def test_the_same_run_gives_the_same_page(filmed: Run) -> None:
    assert report.page(filmed) == report.page(filmed)


def test_theory_is_there_where_it_is_known(explored: Page, filmed: Run) -> None:
    page, layers = explored, explored.run["layers"]
    assert [line["label"] for line in layers["lines"]] == ["exact boundary", "candidate theory"]
    agreement = next(layer for layer in layers["maps"] if layer["name"] == "agreement")
    assert page.array(agreement["arrays"]["values"]).shape == (3, 3)
    assert set(np.unique(page.array(agreement["arrays"]["values"]))) <= {0, 1}
    assert Page(report.page(filmed)).run["layers"] == {
        "maps": [],
        "lines": [],
        "curves": [],
        "words": "",
    }


def test_the_exact_minimum_stands_in_the_order_of_the_axes(explored: Page) -> None:
    """A dense feature of high importance is dedicated, a sparse one shares: of the last feature
    with r = 3.
    """
    page = explored
    exact = next(layer for layer in page.run["layers"]["maps"] if layer["name"] == "exact")
    values = [[point[0] for point in axis["values"]] for axis in page.run["axes"]]
    norm, hue = (page.array(exact["arrays"][name]) for name in ("values", "hue"))
    r, dense, sparse = values[0].index(3), values[1].index(1), values[1].index(0.1)
    assert (norm[r, dense], hue[r, dense]) == pytest.approx((1, 0), abs=0.01)
    assert hue[r, sparse] > 0.9
    assert norm[values[0].index(0.3), dense] == pytest.approx(0, abs=0.01)


LEVELS = [
    "model.n_features=5",
    "model.n_hidden=2",
    "data.density=0.05",
    "data.last=0.25,0.35,0.5,0.7,1",
]


def test_the_curves_are_those_of_the_shapes_that_healthy_models_have(tmp_path: Path) -> None:
    """As in the figure: what a diverged model looks like counts for nothing."""
    run = superpos.train(
        [*LEVELS, "seed=range(0,4)", "train.steps=600", "engine.threads=1"], out=tmp_path
    )
    pentagon = run.table["geometry"] == "pentagon"
    assert 0 < pentagon.sum() < len(run.table)

    def curves() -> list[str]:
        return [curve["label"] for curve in Page(report.page(run)).run["layers"]["curves"]]

    assert curves() == ["pentagon, exact"]
    run.table.loc[pentagon, "status"] = "diverged"
    assert curves() == [f"{name}, exact" for name in energy_levels.exact_levels(run).curves] == []


# --- axes and commands ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([1, 2, 3], "linear"),
        ([0.1, 0.2], "linear"),
        ([1, 0.3, 0.1, 0.03, 0.01], "log"),
        ([1, 10, 100], "log"),
        ([0, 0.7, 0.9, 0.97, 0.99], "ordinal"),
        ([1, 3, 2], "ordinal"),
        (["relu", "linear"], "ordinal"),
        ([True, False], "ordinal"),
        ([[0.1, 0.2], [0.3, 0.4]], "ordinal"),
    ],
)
def test_the_scale_is_that_on_which_values_are_even(values: list[Any], scale: str) -> None:
    assert sweep_axes.scale_of(values) == scale


@pytest.mark.parametrize(
    "overrides",
    [
        ["experiment=phase_change"],
        ["experiment=correlated"],  # zipped keys
        ["experiment=absolute_value"],
        ["seed=18446744073709551615,0"],
        ["model.n_features=3", "data.density=[0.1,0.2,1]", "importance.values=[1,0.5,1e-7]"],
        ["data.sparsity=0.9,0.99", "engine.backend=reference", "data.n_points=7,null"],
        ["train.steps=0"],
        [],
    ],
)
def test_the_command_trains_the_very_model(overrides: list[str]) -> None:
    sweep = compose(overrides).sweep
    plan = sweep.to_json()
    shown, fixed = sweep_axes.axes(plan), sweep_axes.fixed_overrides(plan, "one_model")
    for model in {0, sweep.n_models // 2, sweep.n_models - 1}:
        points = np.unravel_index(model, sweep.shape)
        command = " ".join(
            [fixed, *(axis["overrides"][at] for axis, at in zip(shown, points, strict=True))]
        )
        program, verb, *arguments = shlex.split(command)
        alone = compose(arguments).sweep
        assert (program, verb, alone.n_models) == ("superpos", "train", 1)
        assert alone.row_ids(np.array([0])) == sweep.row_ids(np.array([model]))
        assert alone.base["name"] == "one_model"


def test_numbers_beyond_javascript_are_text(tmp_path: Path) -> None:
    (axis,) = sweep_axes.axes({"axes": [{"keys": ["seed"], "values": [[2**64 - 1], [3]]}]})
    assert axis["values"] == [["18446744073709551615"], [3]]
    assert axis["seeds"]


# --- the budget -----------------------------------------------------------------------------------


def part(kind: Any, n: int, size: int, most: int | None = None) -> Part:
    return Part(kind, np.arange(n), size, lambda rows: {"x": rows}, None, most)


def test_the_best_models_come_first() -> None:
    """10 rows of 4 bytes, best 3 and 7: of 100 bytes rows take 40, weights of 3 and 7 take 20, of 0
    to 3 take 40.
    """
    best = np.isin(np.arange(10), [3, 7])
    found = models.fit([part("rows", 10, 4), part("weights", 10, 10)], best, 100 * 4 / 3 + 0.01)
    assert_array_equal(found[0].models, np.arange(10))
    assert_array_equal(found[1].models, [0, 1, 2, 3, 4, 7])
    assert models.left_out(found) == ["weights of 4 of 10 models"]


def test_a_model_that_is_not_listed_has_nothing_else_in_the_page() -> None:
    best = np.isin(np.arange(10), [3])
    rows, weights = models.fit([part("rows", 10, 40), part("weights", 10, 1)], best, 4 / 3 * 100)
    assert_array_equal(rows.models, [0, 3])
    assert set(weights.models.tolist()) <= {0, 3}


def test_a_part_may_have_a_limit_of_its_own() -> None:
    best = np.isin(np.arange(10), [8, 9])
    _, drawn = models.fit([part("rows", 10, 1), part("graphs", 10, 1, most=3)], best, 1e6)
    assert_array_equal(drawn.models, [0, 8, 9])


@given(
    sizes=st.lists(st.integers(1, 50), min_size=3, max_size=3),
    best=st.lists(st.booleans(), min_size=12, max_size=12),
    budget=st.floats(0, 3000),
)
def test_no_budget_is_exceeded(sizes: list[int], best: list[bool], budget: float) -> None:
    found = models.fit(
        [
            part(kind, 12, size)
            for kind, size in zip(("rows", "weights", "history"), sizes, strict=True)
        ],
        np.array(best),
        budget,
    )
    assert sum(len(kept.models) * kept.part.bytes_each for kept in found) * 4 / 3 <= budget + 1e-6


def test_a_small_budget_leaves_out_and_says_so(tmp_path: Path) -> None:
    run = trained(tmp_path, "data.density=1,0.3", "seed=range(0,9)")
    best = set(run.by_setting()["best"].tolist())
    whole, bare = Page(report.page(run)), Page(report.page(run, budget=0))
    assert whole.run["omitted"] == []
    assert bare.run["omitted"] == [
        f"{kind} of 18 of 18 models" for kind in ("rows", "weights", "history")
    ]
    small = Page(report.page(run, budget=len(bare.text.encode()) + 1700))
    assert len(bare.text) < len(small.text) < len(whole.text)
    assert best < set(small.models("weights")) < set(whole.models("weights"))
    assert best <= set(small.models("history"))
    assert small.run["omitted"][0].startswith("weights of ")


# --- arrays and text ------------------------------------------------------------------------------


def test_half_precision_keeps_three_digits_and_what_is_missing() -> None:
    values = half(np.array([1 / 3, -2.5, np.nan, 1e30, -np.inf]))
    assert_allclose(values[:2], [1 / 3, -2.5], rtol=1e-3)
    assert np.isnan(values[2])
    assert values[3:].tolist() == [65504, -65504]


@pytest.mark.parametrize(("size", "kind"), [(1, "u1"), (256, "u1"), (257, "u2"), (65537, "u4")])
def test_codes_are_as_narrow_as_they_can_be(size: int, kind: str) -> None:
    assert codes(size).str[1:] == kind


def test_arrays_are_little_endian_whatever_they_were() -> None:
    pack = Pack()
    found = pack.add(np.array([1.5, -2], dtype=">f4"))
    text = re.sub(r"<[^>]*>", "", pack.elements[0])
    assert_array_equal(
        np.frombuffer(gzip.decompress(base64.b64decode(text)), dtype="<f4"), [1.5, -2]
    )
    assert found == {"array": 0, "type": "f4", "shape": [2]}


NASTY = "</script><script>alert('x')</script><!-- \" & \u2028 -->"


@given(st.text())
def test_any_text_comes_back_and_holds_no_markup(text: str) -> None:
    written = to_text({"text": text + NASTY})
    assert not set("<>&\u2028\u2029") & set(written)
    assert json.loads(written) == {"text": text + NASTY}


def test_texts_of_a_run_cannot_break_the_page(filmed: Run) -> None:
    plain = Page(report.page(filmed))
    run = superpos.load(filmed.path)
    run.name = run.manifest["name"] = NASTY
    run.manifest["command"] = ["superpos", NASTY]
    run.table["geometry"] = NASTY
    page = Page(report.page(run))
    assert page.elements.count == plain.elements.count
    assert page.elements.title == f"{NASTY} · superpos"
    assert page.run["provenance"]["command"] == ["superpos", NASTY]
    assert page.run["name"] == NASTY


def test_the_page_asks_for_nothing_from_elsewhere(explored: Page) -> None:
    text = explored.text
    assert not re.search(r"""(?:src|href)\s*=\s*["'](?!data:|#)""", text)
    assert not re.search(r"""@import|url\(""", text)


# --- graphs ---------------------------------------------------------------------------------------


def test_the_graph_of_an_octahedron_is_three_digons_and_its_hull_has_twelve_edges() -> None:
    W = np.concatenate((np.eye(3), -np.eye(3)))[None]
    found = graphs.graphs(W)
    shapes = found["shape"]
    assert isinstance(shapes, Coded)
    assert shapes.codes.shape == (1, 6)
    assert {shapes.names[code]["words"] for code in shapes.codes[0]} == {"digon (D = 1/2)"}
    assert found["hull"].sum() == 12
    places = found["place"][0].astype(float)
    assert_allclose(np.linalg.norm(places[:3] - places[3:], axis=1), 1, rtol=1e-2)


def test_a_feature_that_is_not_represented_has_no_place() -> None:
    found = graphs.graphs(np.array([[[1.0, 0, 0], [0, 0, 0], [0, 1, 0]]]))
    alone = [words for words, _ in feature_graph.kinds()].index("dedicated (D = 1)")
    assert found["shape"].codes[0].tolist() == [alone, graphs.NO_SHAPE, alone]
    assert np.isnan(found["place"][0, 1]).all()


# --- the command ----------------------------------------------------------------------------------


def cli(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["report", *arguments], prog_name="superpos")


def test_the_command_writes_the_page_and_prints_its_path(filmed: Run, tmp_path: Path) -> None:
    done = cli(str(filmed.path))
    assert (done.exit_code, done.stdout) == (0, f"{filmed.path / 'report.html'}\n")
    elsewhere = tmp_path / "deep" / "page.html"
    assert cli(str(filmed.path), "--to", str(elsewhere)).stdout == f"{elsewhere}\n"
    assert elsewhere.read_bytes() == (filmed.path / "report.html").read_bytes()


def test_an_incomplete_run_is_shown_as_far_as_it_is(tmp_path: Path) -> None:
    run = trained(tmp_path, "model.n_features=3,4", shard=(0, 2))
    done = cli(str(run.path))
    assert done.exit_code == 0
    assert "incomplete: 1 of 2 models are shown" in done.stderr
    page = Page((run.path / "report.html").read_text(encoding="utf-8"))
    assert (page.run["finished"], page.run["models"]) == (1, 2)


def test_a_run_without_models_is_refused(tmp_path: Path) -> None:
    run = trained(tmp_path, "model.n_features=3,4", shard=(2, 3))
    done = cli(str(run.path))
    assert done.exit_code == 4
    assert "no finished models" in done.stderr
    assert not (run.path / "report.html").exists()


def test_a_path_that_is_no_run_is_refused(tmp_path: Path) -> None:
    done = cli(str(tmp_path / "nowhere"))
    assert done.exit_code == 2
    assert "does not exist" in done.stderr
