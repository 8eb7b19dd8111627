"""What runs show of themselves in notebooks: in real kernels, and the explorer in a real
browser.
"""

from __future__ import annotations

import base64
import copy
import dataclasses
import inspect
import io
import os
import pickle
import re
import subprocess
import sys
from html import unescape
from pathlib import Path

import kernel
import pytest
from browser import Tab, chromium
from matplotlib.figure import Figure
from PIL import Image
from playwright.sync_api import Browser

import superpos
from superpos import family
from superpos.errors import IncompleteError, SuperposError
from superpos.notebook import loss_map, overview
from superpos.store import Run, RunFolder

pytestmark = pytest.mark.slow

# a machine that can have Chromium must not skip these
REQUIRED = "SUPERPOS_REQUIRE_BROWSER" in os.environ
SMALL = [
    "model.n_features=3",
    "train.batch_size=64",
    "record.loss_every=5",
    "engine.backend=reference",
]


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="module")
def run(out: Path) -> Run:
    """Two axes beside the seed; eight settings."""
    axes = ["model.n_hidden=2", "data.density=0.5,0.2,0.1,0.05", "train.lr=0.001,0.01", "seed=0,1"]
    return superpos.train(["name=two", "train.steps=20", *SMALL, *axes], out=out)


@pytest.fixture
def copied(run: Run, tmp_path: Path) -> Path:
    """The same results as those of a family that nobody knows, in another place."""
    facts = run.manifest | {"chunks": run.folder.rows, "family": "nobody", "label": None}
    folder = RunFolder.open(tmp_path, "two", "0123456789ab", facts)
    for chunk in range(run.folder.n_chunks):
        folder.publish(chunk, *run.folder.read(chunk))
    return folder.path


def rows_of(html: str) -> int:
    """Settings in the table."""
    return html.partition("<tbody>")[2].count("<tr")


# --- views of every run ---------------------------------------------------------------------------


def test_views_of_every_run_are_found_and_explain_themselves(run: Run) -> None:
    assert {"plot", "report", "_repr_html_"} <= set(dir(run))
    assert list(inspect.signature(run.plot).parameters) == ["name"]
    assert "height" in inspect.signature(run.report).parameters
    for name in family.EVERY_RUN:
        assert inspect.getdoc(getattr(run, name)), name


def test_a_run_can_still_be_copied(run: Run) -> None:
    for other in (copy.copy(run), copy.deepcopy(run), pickle.loads(pickle.dumps(run))):
        assert other.plot("loss").axes


def test_what_no_run_has_is_said_as_before(run: Run) -> None:
    with pytest.raises(AttributeError, match="a run of the family 'tms' has no 'plots'"):
        run.plots  # noqa: B018
    assert not hasattr(run, "_repr_latex_")  # which notebooks ask for


# --- the run itself -------------------------------------------------------------------------------


def test_a_run_shows_its_state_settings_and_map(run: Run) -> None:
    html = overview.html(run)
    assert "16 of 16 models, complete" in html
    assert rows_of(html) == overview.MAX_SETTINGS < len(run.by_setting())
    assert "and 2 more settings" in html
    assert 'alt="lowest loss over data.density and train.lr"' in html
    assert len(html) < 60_000


def test_the_figures_that_were_drawn_are_its_gallery(copied: Path) -> None:
    """Each written anew: what else a file holds stays out, as does a file that is no picture."""
    folder = copied / "figures"
    for name in [*(f"f{number}" for number in range(overview.MAX_FIGURES)), "z<i>"]:
        Image.new("RGB", (900, 600), "white").save(folder / f"{name}.png")
    (folder / "a.svg").write_text("<svg/>")
    with (folder / "f0.png").open("ab") as file:
        file.write(b"SECRET")
    (folder / "f1.png").write_bytes(b"no picture")
    html = superpos.load(copied)._repr_html_()
    pictures = re.findall(r'base64,([^"]+)" width="220" alt="(f\d)"', html)
    assert [name for _, name in pictures] == ["f0", *(f"f{n}" for n in range(2, 8))]
    assert all(b"SECRET" not in base64.b64decode(data) for data, _ in pictures)
    small = Image.open(io.BytesIO(base64.b64decode(pictures[0][0])))
    assert small.size == (440, 293)
    assert "and 1 more figure<" in html
    assert "<i>" not in html


def test_only_the_table_is_read(run: Run, copied: Path) -> None:
    """As large sweeps need it: files of tensors may be of any size."""
    for path in (copied / "chunks").glob("*.safetensors"):
        path.write_bytes(bytes(path.stat().st_size))
    assert rows_of(overview.html(superpos.load(copied))) == overview.MAX_SETTINGS


def test_what_a_family_adds_to_settings_is_not_waited_for(run: Run) -> None:
    def never(*_: object) -> float:
        raise AssertionError

    other = copy.copy(run)
    vars(other)["family"] = dataclasses.replace(
        run.require_family(), setting_columns={"slow": never}
    )
    assert rows_of(overview.html(other)) == overview.MAX_SETTINGS


def test_a_run_of_an_unknown_family_shows_what_is_known(copied: Path) -> None:
    found = superpos.load(copied)
    assert found.family is None
    html = found._repr_html_()
    assert "<img" in html
    assert "run.plot" not in html


def test_an_incomplete_run_shows_how_far_it_is(out: Path, copied: Path) -> None:
    command = ["name=part", *SMALL, "train.steps=20", "model.n_hidden=1,2", "seed=0,1"]
    html = superpos.train(command, out=out, shard=(0, 2))._repr_html_()
    assert "2 of 4 models, incomplete" in html
    assert rows_of(html) == 1
    for path in (copied / "chunks").iterdir():
        path.unlink()
    html = superpos.load(copied)._repr_html_()
    assert "0 of 16 models, incomplete" in html
    assert "<table" not in html


def test_nothing_of_a_run_becomes_html(run: Run) -> None:
    bad = "<script>alert(1)</script>"
    other = copy.copy(run)
    other.name = bad
    other.path = Path(f"/tmp/{bad}")
    other.table = run.table.assign(geometry=bad)
    html = other._repr_html_()
    assert "<script" not in html
    assert html.count("&lt;script&gt;") >= 3


@pytest.mark.parametrize(
    ("axes", "words"),
    [
        (["seed=0,1"], None),
        (["data.density=0.5,0.1"], "lowest loss over data.density"),
        (
            ["data.density=[0.1,0.2,0.3],[0.3,0.2,0.1]", "train.lr=1,1e30"],
            "lowest loss over data.density and train.lr",
        ),
        (
            ["model.n_hidden=1,2", "train.lr=0.1,0.2", "seed=0,1"],
            "lowest loss over model.n_hidden and train.lr",
        ),
        (
            ["model.n_hidden=1,2", "train.lr=0.1,0.2", "train.steps=0,1"],
            "lowest loss over train.lr and train.steps",
        ),
    ],
)
def test_any_sweep_has_the_map_that_it_needs(axes: list[str], words: str | None, out: Path) -> None:
    steps = [] if "train.steps" in " ".join(axes) else ["train.steps=20"]
    picture = loss_map.draw(superpos.train([*SMALL, *steps, *axes], out=out))
    assert (picture and picture.words) == words
    assert picture is None or picture.png.startswith(b"\x89PNG")


# --- figures --------------------------------------------------------------------------------------


def test_plot_returns_the_figure(run: Run) -> None:
    figure = run.plot("loss")
    assert isinstance(figure, Figure)
    png, shown = figure._repr_png_()  # type: ignore[attr-defined]
    assert png.startswith(b"\x89PNG")
    # of a sharp screen
    assert shown["width"] * 1.5 == pytest.approx(int.from_bytes(png[16:20]), abs=2)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("losses", "no figure 'losses'; there are features, .*, loss"),
        ("motif", "figure 'motif' needs .*; figures of this run: features, "),
    ],
)
def test_plot_says_what_cannot_be_drawn(name: str, words: str, run: Run) -> None:
    with pytest.raises(SuperposError, match=words):
        run.plot(name)


def test_plot_without_a_name_lists_what_can_be_drawn(run: Run) -> None:
    names = run.plot()
    assert names == ["features", "geometry", "contamination", "collateral", "loss"]
    assert all(isinstance(run.plot(name), Figure) for name in names)


# --- the explorer ---------------------------------------------------------------------------------


def test_the_explorer_writes_the_page_too(run: Run, tmp_path: Path) -> None:
    explorer = run.report(height=500)
    assert "height: 500px" in explorer._repr_html_()
    assert len(repr(explorer)) < 200
    path = explorer.write(tmp_path / "page.html")
    assert path.read_text().startswith("<!DOCTYPE html>")
    assert explorer.write() == run.path / "report.html"


def test_the_explorer_holds_what_its_budget_has_room_for(run: Run) -> None:
    frame = re.search(r'srcdoc="([^"]*)"', run.report(budget=1)._repr_html_())
    assert frame
    assert "rows of 16 of 16 models" in unescape(frame[1])


def test_no_explorer_of_nothing(copied: Path) -> None:
    with pytest.raises(SuperposError, match="'nobody'"):
        superpos.load(copied).report()


def test_no_explorer_before_the_first_model(run: Run) -> None:
    empty = copy.copy(run)
    empty.table = run.table.iloc[:0]
    with pytest.raises(IncompleteError, match="train it first"):
        empty.report()


@pytest.mark.skipif(chromium() is None and not REQUIRED, reason="Chromium is not here")
def test_the_explorer_works_inside_a_page(run: Run, browser: Browser, tmp_path: Path) -> None:
    """It draws and follows clicks, has a table to save, and cannot reach the page around it."""
    host = tmp_path / "notebook.html"
    host.write_text(
        f"<!DOCTYPE html><title>host</title>{run.report()._repr_html_()}", encoding="utf-8"
    )
    tab = Tab(browser)
    page = tab.open(host)
    frame = page.frames[1]
    settled = (
        "(({ready, busy, error}) => error || ready && busy !== "
        "'true')(document.documentElement.dataset)"
    )
    for model in (3, 8):
        frame.wait_for_function(settled)
        frame.evaluate("model => window.superpos.select(model)", model)
        frame.wait_for_function(settled)
        assert frame.get_by_test_id("detail").get_attribute("data-model") == str(model)
    assert frame.evaluate("document.documentElement.dataset.error") is None
    with page.expect_download() as saved:
        frame.get_by_test_id("export").click()
    assert saved.value.suggested_filename == "two.csv"
    reached = "() => { try { return parent.document.title; } catch { return null; } }"
    assert frame.evaluate(reached) is None
    tab.close()


# --- in a kernel ----------------------------------------------------------------------------------


def test_a_kernel_shows_runs_figures_and_progress(tmp_path: Path) -> None:
    """Without any magic of matplotlib, and without a line of a terminal."""
    train = (
        f"run = superpos.train({['experiment=intro', 'name=k', 'train.steps=3000', 'seed=0,1']}, "
        "progress=True)"
    )
    imported, trained, shown, figure, explorer, names = kernel.run_cells(
        [
            "import superpos",
            train,
            "run",
            "run.plot('features')",
            "run.report()",
            "print('plot' in dir(run))",
        ],
        tmp_path,
    )
    assert imported == []
    assert kernel.kinds(trained) == [{"text/plain", "text/html"}]  # one display, and no stream
    [bar] = trained
    assert bar["data"]["text/plain"].startswith("20 of 20 models, ")
    assert '<progress value="1.000"' in bar["data"]["text/html"]
    assert kernel.kinds(shown) == [{"text/plain", "text/html"}]
    assert kernel.kinds(figure) == [{"text/plain", "image/png"}]
    assert figure[0]["metadata"]["image/png"]["width"] > 300
    assert explorer[0]["data"]["text/html"].startswith("<iframe")
    assert kernel.text(names) == "True\n"


def test_a_kernel_with_matplotlib_shows_a_figure_once(run: Run, tmp_path: Path) -> None:
    cells = [f"run = superpos.load({str(run.path)!r})", "figure = run.plot('loss'); figure"]
    _, _, outputs = kernel.run_cells(
        ["import superpos, matplotlib.pyplot as plt", *cells], tmp_path
    )
    assert kernel.kinds(outputs) == [{"text/plain", "image/png"}]


def test_a_command_of_a_cell_prints_lines(tmp_path: Path) -> None:
    """A cell's "!" gives it a terminal, which the notebook does not draw as one."""
    [outputs] = kernel.run_cells([f"!{sys.executable} -m superpos train train.steps=200"], tmp_path)
    said = kernel.text(outputs)
    assert "trained" in said
    assert "outputs/" in said.splitlines()[-1]
    assert "\x1b" not in said
    assert not re.search(r"\r(?!\n)", said)


def test_elsewhere_progress_is_lines_of_a_log(tmp_path: Path) -> None:
    """A program that knows IPython, such as a test, is no notebook."""
    script = (
        "import IPython, superpos; superpos.train(['train.steps=100', 'train.warmup_steps=9'], "
        "progress=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == ""
    assert "\r" not in done.stderr
    assert "\x1b" not in done.stderr
