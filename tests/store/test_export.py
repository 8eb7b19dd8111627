"""`superpos export`: a run as one file of a format that other programs read."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.store import Run, text_tables

WORDS = [
    "model.n_features=3",
    "data.sparsity=0.5,[0.1,0.5,0.9]",
    "seed=0,1",
    "train.steps=4",
    "record.loss_every=2",
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four models of one shape, one setting with a list, with recorded losses and snapshots."""
    return superpos.train([*WORDS, "record.snapshots=1"], out=tmp_path_factory.mktemp("outputs"))


@pytest.fixture(scope="module")
def of_two_shapes(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return superpos.train(
        ["model.n_features=3,4", "seed=0,1", "train.steps=2"],
        out=tmp_path_factory.mktemp("outputs"),
    )


def export(run: Run, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", str(run.path), *arguments])


def test_a_table_as_csv_reads_as_it_was(run: Run, tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.csv"
    done = export(run, f"--to={path}")
    assert (done.exit_code, done.stdout) == (0, f"{path}\n")
    rows = list(csv.DictReader(path.read_text().splitlines()))
    assert [float(row["loss"]) for row in rows] == run.table["loss"].tolist()  # every digit
    assert [json.loads(row["data.sparsity"]) for row in rows] == [
        *[[0.5] * 3] * 2,
        *[[0.1, 0.5, 0.9]] * 2,
    ]


def test_a_table_as_parquet_is_the_table(run: Run, tmp_path: Path) -> None:
    assert export(run, f"--to={tmp_path / 'run.parquet'}").exit_code == 0
    read = pd.read_parquet(tmp_path / "run.parquet")
    expected = run.table.reset_index(drop=True)
    assert list(read) == list(expected)
    assert read.isna().equals(expected.isna())
    for name in read.columns[read.notna().all()]:
        assert list(map(str, read[name])) == list(map(str, expected[name]))


def test_an_npz_has_columns_and_tensors_and_no_code(run: Run, tmp_path: Path) -> None:
    assert export(run, f"--to={tmp_path / 'run.NPZ'}").exit_code == 0
    with np.load(tmp_path / "run.NPZ", allow_pickle=False) as file:
        arrays = dict(file)
    assert arrays["W"].shape == (4, 3, 2)
    np.testing.assert_array_equal(arrays["W"], run.tensor("W"))
    np.testing.assert_array_equal(arrays["loss"], run.table["loss"])
    np.testing.assert_array_equal(arrays["history/step"], run.history(0)[0])
    np.testing.assert_array_equal(arrays["snapshots/W"][3], run.snapshots(3)[1]["W"])
    assert arrays["data.sparsity"][2] == "[0.1, 0.5, 0.9]"
    assert np.isnan(arrays["diverged_at"]).all()


def test_as_says_the_format_whatever_the_file_is_called(run: Run, tmp_path: Path) -> None:
    assert export(run, "--as=csv", f"--to={tmp_path / 'table.txt'}").exit_code == 0
    assert export(run, f"--to={tmp_path / 'table.csv'}").exit_code == 0
    assert (tmp_path / "table.txt").read_bytes() == (tmp_path / "table.csv").read_bytes()


@pytest.mark.parametrize(
    ("words", "models"), [("all", [0, 1, 2, 3]), ("3,0", [3, 0]), ("1:3,1", [1, 2])]
)
def test_models_are_chosen_by_number(
    words: str, models: list[int], run: Run, tmp_path: Path
) -> None:
    assert export(run, f"--to={tmp_path / 'run.npz'}", "--models", words).exit_code == 0
    with np.load(tmp_path / "run.npz") as arrays:
        assert arrays["model"].tolist() == models
        np.testing.assert_array_equal(arrays["b"], run.tensor("b", models))


def test_the_best_of_each_setting(run: Run, tmp_path: Path) -> None:
    assert export(run, f"--to={tmp_path / 'run.csv'}", "--models=best").exit_code == 0
    losses = run.table["loss"]
    best = [losses.loc[[0, 1]].idxmin(), losses.loc[[2, 3]].idxmin()]
    assert pd.read_csv(tmp_path / "run.csv")["model"].tolist() == best


def test_tensors_of_two_shapes_are_no_one_array(of_two_shapes: Run, tmp_path: Path) -> None:
    failed = export(of_two_shapes, f"--to={tmp_path / 'run.npz'}")
    assert failed.exit_code == 2
    assert "--models" in failed.stderr
    assert export(of_two_shapes, f"--to={tmp_path / 'run.npz'}", "--models=2:4").exit_code == 0
    assert export(of_two_shapes, f"--to={tmp_path / 'run.csv'}").exit_code == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run.csv", "run.npz"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--to: is missing"),
        (["--to=run.txt"], "allowed: a file name that ends in .csv, .parquet, .md, .tex, .npz"),
        (["--to=run"], "allowed: a file name that ends in .csv, .parquet, .md, .tex, .npz"),
        (
            ["--to=run.npz", "--by-setting"],
            "allowed: a file name that ends in .csv, .parquet, .md, .tex\n",
        ),
        (["--to=run.csv", "--by-setting", "--models=best"], "--by-setting: is about all models"),
        (["--as=x", "--model=1", "--by-setting"], "--by-setting: is for tables"),
        (["--to=run.csv", "--models=9"], "allowed: models 0 to 3"),
        (["--to=run.csv", "--models=2:2"], "allowed: models 0 to 3"),
        (["--to=run.csv", "--models=-1"], "allowed: all, best, or numbers"),
        (["--to=run.csv", "--models="], "allowed: all, best, or numbers"),
        (["--to=run.csv", "--model=1"], "--models=N writes the row of one model"),
        (
            ["--as=sae_lens", "--model=1"],
            "--as: there is no 'sae_lens'; it is for runs of family=sae",
        ),
        (["--as=x", "--models=1"], "--as takes one model"),
    ],
)
def test_what_cannot_be_exported(
    arguments: list[str], words: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    failed = export(run, *arguments)
    assert failed.exit_code == 2
    assert words in failed.stderr
    assert len(failed.stderr.splitlines()) == 1
    assert [*tmp_path.iterdir()] == []


SIGNS = pd.DataFrame(
    {"a_b": [1, 20], "x<y": [0.123456, np.nan], "text": [r"50% & \n | {c}", "[i]\nj~^$#"]}
)


def test_markdown_is_a_table_whatever_stands_in_it() -> None:
    assert text_tables.markdown(SIGNS) == (
        "| a_b | x\\<y | text |\n"
        "| ---: | ---: | --- |\n"
        "| 1 | 0.1235 | 50% & \\\\n \\| {c} |\n"
        "| 20 |  | \\[i\\] j\\~^$# |\n"
    )


def test_latex_is_a_tabular_whatever_stands_in_it() -> None:
    assert text_tables.latex(SIGNS).splitlines() == [
        r"% \usepackage{booktabs}",
        r"\begin{tabular}{rrl}",
        r"\toprule",
        r"a\_b & x\textless{}y & text \\",
        r"\midrule",
        r"1 & 0.1235 & 50\% \& \textbackslash{}n \textbar{} \{c\} \\",
        r"20 &  & [i] j\textasciitilde{}\textasciicircum{}\$\# \\",
        r"\bottomrule",
        r"\end{tabular}",
    ]


def test_tables_for_people_have_what_differs(run: Run, tmp_path: Path) -> None:
    assert export(run, f"--to={tmp_path / 'run.md'}", "--models=2,0").exit_code == 0
    head, _, *rows = (tmp_path / "run.md").read_text().splitlines()
    names = [cell.strip() for cell in head.strip("|").split("|")]
    assert names[:5] == ["model", "data.sparsity", "seed", "status", "loss"]
    assert not {"row_id", "diverged_at", "train.steps"} & set(names)
    cells = [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]
    assert [row[:3] for row in cells] == [
        ["2", r"\[0.1, 0.5, 0.9\]", "0"],
        ["0", r"\[0.5, 0.5, 0.5\]", "0"],
    ]
    assert [float(row[4]) for row in cells] == pytest.approx(
        run.table["loss"].loc[[2, 0]].tolist(), rel=1e-3
    )


def test_settings_as_every_table(run: Run, tmp_path: Path) -> None:
    expected = run.by_setting()
    for suffix in (".csv", ".parquet", ".md", ".tex"):
        assert export(run, f"--to={tmp_path / f'run{suffix}'}", "--by-setting").exit_code == 0
    # pandas' own numbers may miss the last bit
    read = pd.read_csv(tmp_path / "run.csv", dtype={"loss_best": str})
    assert read["loss_best"].map(float).tolist() == expected["loss_best"].tolist()
    assert [json.loads(cell) for cell in read["data.sparsity"]] == [[0.5] * 3, [0.1, 0.5, 0.9]]
    assert pd.read_parquet(tmp_path / "run.parquet")["best"].tolist() == expected["best"].tolist()
    assert len((tmp_path / "run.md").read_text().splitlines()) == 2 + len(expected)
    assert (tmp_path / "run.tex").read_text().count(r" \\") == 1 + len(expected)
