"""Circuits as tables: read off weights through the softmax, planted triples, bugs, optima of rank
d, other tools.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from places import SUPPORT
from referees import python_with
from scipy.special import softmax
from typer.testing import CliRunner

import superpos
from superpos.cli import app
from superpos.errors import SuperposError
from superpos.families.transformer import metrics
from superpos.families.transformer.analysis import paths, reading, tables
from superpos.families.transformer.counts import asked
from superpos.families.transformer.data.tables import law_of
from superpos.families.transformer.data.tables import tables as made_of
from superpos.families.transformer.keys import KINDS
from superpos.families.transformer.model import forward
from superpos.families.transformer.structure import Kind, Structure, Task
from superpos.families.transformer.theory.low_rank import least_excess
from superpos.store import Run

REFEREE = python_with("transformer_lens")
SOURCE = Structure(
    kind="source", tokens=6, sources=3, planted=9, pool=3, context=12, n_layers=1, n_heads=2,
    d_model=12, d_head=4, positions="none",
)  # fmt: skip


def source_task() -> Task:
    zero = np.zeros(1)
    return Task(
        SOURCE,
        seed=np.zeros(1, dtype=np.uint64),
        lr=zero,
        weight_decay=zero,
        language=np.zeros(1, dtype=np.intp),
        init_std=zero,
        tables=made_of(SOURCE, [(0, 1.0)]),
    )


def weights_of(structure: Structure, scale: float) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {name: rng.normal(size=shape) * scale for name, shape in structure.param_shapes.items()}


def test_tables_by_hand() -> None:
    """Tokens are unit vectors: the tables are the matrices themselves, without the means of their
    rows.
    """
    qk, ov, direct = (
        np.diag([3.0, 0.0]),
        np.array([[0.0, 2.0], [0.0, 0.0]]),
        np.array([[1.0, 0.0], [0.0, 5.0]]),
    )
    weights = {
        "W_E": np.eye(2),
        "W_Q": 2**0.5 * qk[None, None],
        "W_K": np.eye(2)[None, None],
        "W_V": ov[None, None],
        "W_O": np.eye(2)[None, None],
        "W_U": direct,
    }
    found = tables.circuits(weights)
    np.testing.assert_allclose(found.qk[0, 0], [[1.5, -1.5], [0, 0]])
    np.testing.assert_allclose(found.ov[0, 0], [[-5, 5], [0, 0]])
    np.testing.assert_allclose(found.direct, [[0.5, -0.5], [-2.5, 2.5]])
    assert tables.circuits({"W_E": np.eye(2), "W_U": direct}).ov.shape == (0, 0, 2, 2)


def test_reading_through_the_softmax_foretells_the_running_model() -> None:
    """Of weights as sharp as trained ones; the product of QK and OV knows nothing of other
    tokens.
    """
    task = source_task()
    weights = weights_of(SOURCE, 0.5)
    given = asked(task, 0, 3000)
    params = {name: torch.from_numpy(value)[None] for name, value in weights.items()}
    logits = forward(task, params, given.inputs)[0][0].numpy()
    own = {name: value[0] for name, value in task.tables.items()}
    running = tables.running(given.tokens, given.where, logits, SOURCE)
    read = np.exp(tables.through_softmax(SOURCE, own, weights))
    assert np.nanmean(np.abs(read - running)) < 0.02
    assert np.nanmean(np.abs(read - 1 / 9)) > 0.04  # what is foretold is not that all are alike


def test_running_by_hand() -> None:
    """One sequence: source 0 (token 6), then tokens 1, 1: two positions after (0, 1)."""
    tokens = np.array([[6, 1, 1, 2]])
    where = np.array([[False, True, True]])
    logits = np.zeros((1, 3, 9))
    logits[0, 1, 2] = np.log(8)
    found = tables.running(tokens, where, logits, SOURCE)
    assert found[0, 1, 2] == pytest.approx((8 / 16 + 1 / 9) / 2)
    assert np.isnan(found[1]).all()
    assert softmax(logits[0, 2])[0] == pytest.approx(1 / 9)


def test_precision_by_hand() -> None:
    planted = np.array([[2, -1, 0]])
    scores = np.zeros((1, 3, 3))
    scores[0, 0, 2] = 3.0
    scores[0, 1, 1] = 2.0
    assert tables.precision(scores, planted) == 0.5
    scores[0, 2, 0] = 2.5
    assert tables.precision(scores, planted) == 1
    assert np.isnan(tables.precision(np.full((1, 3, 3), np.nan), planted))


def test_bugs_by_hand() -> None:
    """a 0 → 2 and a 1 → 1: raised together are a 0 → 1 and a 1 → 2."""
    planted = np.array([[2, 1, -1]])
    found = tables.bugs(planted)
    assert list(zip(*np.nonzero(found), strict=True)) == [(0, 0, 1), (0, 1, 2)]


def test_true_probabilities_have_no_bugs() -> None:
    task = source_task()
    own = {name: value[0] for name, value in task.tables.items()}
    from superpos.families.transformer.theory.floors import additive, occupancy

    there = occupancy(SOURCE, own)
    assert tables.bug_ratio(SOURCE, own, there.follows) == pytest.approx(1)
    assert tables.bug_ratio(SOURCE, own, additive(there).probabilities) > 1.1


def test_rank_v_minus_1_is_exactly_enough() -> None:
    chain = made_of(Structure(kind="chain", tokens=6), [(1, 1.0)])
    often, rows = law_of(chain["first"][0]), law_of(chain["rows"][0])
    excess = [least_excess(often, rows, d) for d in (1, 3, 5)]
    assert excess[0] > excess[1] > 1e-4
    assert excess[2] < 1e-12
    assert least_excess(often, rows, 9) < 1e-12  # of more dimensions than tokens


# --- runs -----------------------------------------------------------------------------------------

SMALL = [
    "family=transformer", "model.d_model=8", "model.d_head=4", "train.batch_size=4",
    "train.steps=12", "train.warmup_steps=4", "language.context=8", "record.snapshots=3",
]  # fmt: skip


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def positions(out: Path) -> Run:
    return superpos.train(
        [*SMALL, "model.positions=none,stream,scores,relative", "model.n_heads=2"], out=out
    )


def test_circuits_are_a_method_of_runs(positions: Run) -> None:
    found = positions.circuits(1)
    assert found.ov.shape == (2, 2, 17, 17)
    np.testing.assert_allclose(found.direct.sum(1), 0, atol=1e-12)


def test_triples_are_columns_of_what_can_be_read(out: Path) -> None:
    source = [
        "language.kind=source",
        "language.context=12",
        "model.n_layers=1",
        "model.positions=none,relative",
    ]
    run = superpos.train([*SMALL[:-2], SMALL[-1], *source], out=out)
    assert run.table["planted_precision"].notna().tolist() == [True, False]
    assert (run.table["bug_ratio"] > 0).all()


@pytest.mark.parametrize("kind", KINDS)
def test_every_token_has_a_name(kind: Kind) -> None:
    structure = Structure(kind=kind)
    found = reading.token_names(structure)
    assert len(found) == len(set(found)) == structure.vocabulary


def test_what_is_read_of_a_model(positions: Run) -> None:
    """Of two layers of two heads: four paths, four heads, four pairs of them; nine tables of
    tokens.
    """
    found = positions.read_circuits(1, top=3)
    assert list(found) == ["model", "paths", "orders", "heads", "compositions", "entries"]
    row, weights = positions.table.loc[1], positions.weights(1)
    assert found["model"]["excess"].tolist() == [row["excess"]]
    assert found["paths"]["cost"].tolist() == [
        row[f"path_{into}"] for into in ("q", "k", "v", "logits")
    ]
    assert found["heads"]["head"].tolist() == ["0.0", "0.1", "1.0", "1.1"]
    pairs = found["compositions"].set_index(["from", "to"])
    assert len(pairs) == 4
    assert pairs["k"].max() == pytest.approx(row["composition_k"])
    scores = metrics.compositions(weights, (0, 1), (1, 0))
    assert pairs.loc[("0.1", "1.0"), "v"] == pytest.approx(scores["v"] - 8**-0.5)
    entries = found["entries"].groupby("table", sort=False)
    assert entries.size().to_dict() == dict.fromkeys(
        ["direct", *(f"{what} {head}" for what in ("OV", "QK") for head in found["heads"]["head"])],
        3,
    )
    direct = found["entries"].iloc[0]
    names = reading.token_names(Structure(kind="pairs"))
    place = names.index(direct["row"]), names.index(direct["column"])
    assert (
        positions.circuits(1).direct[place] == positions.circuits(1).direct.max() == direct["value"]
    )


def test_orders_of_paths_by_hand() -> None:
    """Whatever heads of layer 0 write, values of layer 1 do not read it: then no path goes through
    two heads.
    """
    structure = replace(SOURCE, n_layers=2)
    zero = np.zeros(1)
    one = replace(source_task(), structure=structure, lr=zero)
    weights = weights_of(structure, 0.5)
    given = asked(one, 0, 50)
    params = {name: torch.from_numpy(value)[None] for name, value in weights.items()}
    orders = paths.orders(one, weights, given)
    assert orders["any number"] == pytest.approx(
        given.excess(forward(one, params, given.inputs)[0]), abs=1e-6
    )
    direct = torch.from_numpy(weights["W_E"] @ weights["W_U"])[given.inputs.tokens[..., :-1]]
    assert orders["none"] == pytest.approx(given.excess(direct), abs=1e-5)
    assert abs(orders["at most one"] - orders["any number"]) > 1e-3
    weights["W_V"][1] = 0
    orders = paths.orders(one, weights, given)
    assert orders["at most one"] == pytest.approx(orders["any number"], abs=1e-6)
    assert abs(orders["none"] - orders["any number"]) > 1e-3


def test_heads_that_are_read_are_those_of_the_table(positions: Run) -> None:
    """On fewer sequences."""
    heads = positions.read_circuits(2)["heads"]
    assert heads["prefix"].max() == pytest.approx(positions.table["prefix"][2], abs=0.05)
    assert heads["previous"].max() == pytest.approx(positions.table["previous"][2], abs=0.05)


def test_the_command_prints_what_is_read(positions: Run) -> None:
    done = CliRunner().invoke(
        app, ["circuits", str(positions.path), "--model", "1", "--top", "2", "--json"]
    )
    found = json.loads(done.stdout)
    assert (done.exit_code, found["model"]) == (0, 1)
    read = positions.read_circuits(1, 2)
    assert found["tables"]["entries"] == read["entries"].to_dict("records")
    assert found["tables"]["model"][0]["formed_at"] is None
    text = CliRunner().invoke(app, ["circuits", str(positions.path)]).stdout
    assert [line for line in text.splitlines() if line in (*read, "skip trigrams")] == list(read)


def test_skip_trigrams_are_read_where_they_can_be(out: Path) -> None:
    source = [
        "language.kind=source",
        "language.context=12",
        "model.n_layers=1",
        "model.positions=none,relative",
    ]
    run = superpos.train([*SMALL[:-2], SMALL[-1], *source, "name=read"], out=out)
    triples = run.read_circuits(0, top=48)["skip_trigrams"]
    assert triples["planted"].mean() == pytest.approx(run.table["planted_precision"][0])
    assert "skip_trigrams" not in run.read_circuits(1)
    assert "paths" not in run.read_circuits(1)


def test_what_has_no_circuits_is_refused(out: Path) -> None:
    gates = superpos.train(["family=circuit", "name=gates"], out=out)
    for arguments, message in (
        (
            [str(gates.path)],
            "is a run of family=circuit, without circuits to read; allowed: transformer",
        ),
        ([str(gates.path), "--model", "x"], "Invalid value"),
    ):
        done = CliRunner().invoke(app, ["circuits", *arguments])
        assert (done.exit_code, done.stdout) == (2, "")
        assert message in done.stderr


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--model=4"], "--model: got 4; allowed: 0 to 3"),
        (["--top=0"], "--top: got 0; allowed: 1 or more"),
    ],
)
def test_wrong_options_of_circuits(options: list[str], message: str, positions: Run) -> None:
    done = CliRunner().invoke(app, ["circuits", str(positions.path), *options])
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


@pytest.mark.parametrize(
    ("overrides", "reason"),
    [
        (["model.positions=relative"], "model.positions=relative; allowed: none, stream, scores"),
        (["model.smear=true", "model.positions=none"], "model.smear=true"),
        (["model.direct=false", "model.positions=none"], "model.direct=false"),
        (["model.n_layers=0"], "no layers"),
    ],
)
def test_models_that_transformer_lens_does_not_have_are_refused(
    overrides: list[str], reason: str, out: Path, tmp_path: Path
) -> None:
    run = superpos.train([*SMALL, *overrides], out=out)
    with pytest.raises(
        SuperposError, match=f"model 0 cannot be exported to TransformerLens: .*{reason}"
    ):
        run.export("transformer_lens", 0, tmp_path / "lens")
    assert not (tmp_path / "lens").exists()


@pytest.mark.skipif(
    REFEREE is None,
    reason="TransformerLens is installed neither here nor where SUPERPOS_REFEREES says",
)
def test_transformer_lens_loads_what_is_exported(positions: Run, tmp_path: Path) -> None:
    tokens = torch.from_numpy(np.random.default_rng(0).integers(0, 17, (5, 8)))
    torch.save(tokens, tmp_path / "tokens.pt")
    folders = [
        positions.export("transformer_lens", model, tmp_path / f"lens{model}") for model in range(3)
    ]
    script = SUPPORT / "transformer_lens_load.py"
    assert REFEREE is not None
    command = [REFEREE, script, tmp_path / "tokens.pt", tmp_path / "logits.pt", *folders]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    from superpos.maths import attention

    kinds: list[attention.Positions] = ["none", "stream", "scores"]
    for model, theirs in enumerate(torch.load(tmp_path / "logits.pt", weights_only=True)):
        params = {
            name: torch.from_numpy(value)[None] for name, value in positions.weights(model).items()
        }
        ours, _ = attention.forward(params, tokens, positions=kinds[model])
        torch.testing.assert_close(ours[0], theirs, rtol=0, atol=1e-5)
