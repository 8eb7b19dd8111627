"""Reading runs: tables, tensors, digests, and the formats themselves."""

from __future__ import annotations

import hashlib
import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from superpos.errors import IncompleteError, SuperposError
from superpos.store import Run, RunFolder, find_runs, formats, latest_run, load

SHAPES = {0: (5, 2), 1: (5, 2), 2: (3, 1)}  # n_features, n_hidden of each chunk
CHUNKS = [[0, 3, 6], [1, 4], [2, 5]]
STEPS = np.array([0, 100, 200])


def results(chunk: int) -> tuple[dict[str, Any], pd.DataFrame]:
    """Tensors whose every number says its model: W = model + 0.25, b = -model."""
    rows, (n, m) = np.array(CHUNKS[chunk]), SHAPES[chunk]
    model = rows.astype(np.float32)
    tensors = {
        "W": np.broadcast_to(model[:, None, None] + np.float32(0.25), (len(rows), n, m)),
        "b": np.broadcast_to(-model[:, None], (len(rows), n)),
        "history/step": STEPS,
        "history/loss": model[:, None] + np.array([0.5, 0.25, 0.125], dtype=np.float32),
    }
    if chunk == 1:
        tensors |= {
            "snapshots/step": STEPS[:2],
            "snapshots/W": model[:, None, None, None] + np.zeros((2, 2, n, m)),
        }
    table = pd.DataFrame(
        {
            "model": rows,
            "row_id": [f"{row:012x}" for row in rows],
            "seed": np.array([2**64 - 1 - int(row) for row in rows], dtype=np.uint64),
            "data.sparsity": [[0.5] * n for _ in rows],
            "data.n_points": None if chunk == 0 else 10,
            "status": ["diverged" if row == 4 else "ok" for row in rows],
            "diverged_at": pd.array([7 if row == 4 else None for row in rows], dtype="Int64"),
            "loss": np.where(rows == 4, np.nan, rows / 8),
        }
    )
    return tensors, table


def make(
    out: Path, chunks: tuple[int, ...] = (0, 1, 2), name: str = "demo", run_id: str = "0123456789ab"
) -> RunFolder:
    folder = RunFolder.open(out, name, run_id, {"plan": "p", "engine": "e", "chunks": CHUNKS})
    for chunk in chunks:
        folder.publish(chunk, *results(chunk))
    return folder


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return load(make(tmp_path).path)


def test_the_table_is_in_model_order(run: Run) -> None:
    table = run.table
    assert table["model"].tolist() == table.index.tolist() == list(range(7))
    assert table["loss"].tolist()[:4] == [0.0, 0.125, 0.25, 0.375]  # model / 8
    assert np.isnan(table["loss"][4])
    assert table["seed"].dtype == np.uint64
    assert table["seed"][6] == 2**64 - 7
    assert table["diverged_at"].dtype == pd.Int64Dtype()
    assert table["diverged_at"].dropna().to_dict() == {4: 7}
    # null in all of chunk 0, integers elsewhere
    assert table["data.n_points"].dtype == pd.Int64Dtype()
    assert table["data.n_points"].isna().tolist() == [True, False, False, True, False, False, True]
    assert table["data.sparsity"][2].tolist() == [0.5, 0.5, 0.5]
    assert (run.name, run.n_models, run.complete) == ("demo", 7, True)


def test_weights_of_one_model(run: Run) -> None:
    weights = run.weights(4)
    assert sorted(weights) == ["W", "b"]
    np.testing.assert_array_equal(weights["W"], np.full((5, 2), 4.25, dtype=np.float32))
    np.testing.assert_array_equal(weights["b"], np.full(5, -4, dtype=np.float32))
    assert run.weights(5)["W"].shape == (3, 1)


def test_a_tensor_gathers_rows_of_several_chunks_in_the_order_asked(run: Run) -> None:
    found = run.tensor("W", [4, 0, 6, 1, 4])
    assert found.shape == (5, 5, 2)
    assert found.dtype == np.float32
    assert found[:, 2, 1].tolist() == [4.25, 0.25, 6.25, 1.25, 4.25]
    np.testing.assert_array_equal(
        run.tensor("W", run.table.index[[2, 5]]), np.full((2, 3, 1), [[[2.25]], [[5.25]]])
    )
    assert run.tensor("W", run.table["data.n_points"].isna())[:, 0, 0].tolist() == [
        0.25,
        3.25,
        6.25,
    ]


def test_truth_values_with_gaps_choose_what_is_true(run: Run) -> None:
    chosen = run.table["diverged_at"] == 7  # a number for model 4 alone
    assert chosen.dtype == "boolean"
    assert run.tensor("b", chosen)[:, 0].tolist() == [-4.0]


def test_rows_of_different_shapes_are_refused(run: Run) -> None:
    with pytest.raises(
        ValueError,
        match=r"W has different shapes \[\(3, 1\), \(5, 2\)\]: choose rows of equal shape",
    ):
        run.tensor("W")
    assert run.tensor("history/loss").shape == (7, 3)


@pytest.mark.parametrize("model", [-1, 7])
def test_a_model_that_is_not_there(run: Run, model: int) -> None:
    with pytest.raises(IndexError, match=f"model {model} is not in this run of 7 models"):
        run.weights(model)


def test_a_tensor_that_is_not_there(run: Run) -> None:
    with pytest.raises(KeyError, match="no tensor 'W1'; there is W, b, history/loss, history/step"):
        run.tensor("W1", [0])
    with pytest.raises(ValueError, match="no models to take W of"):
        run.tensor("W", [])
    with pytest.raises(ValueError, match="2 truth values for 7 finished models"):
        run.tensor("W", np.array([True, False]))
    with pytest.raises(TypeError, match="Cannot cast"):
        run.tensor("W", np.array([0.5]))


def test_history_and_snapshots(run: Run, tmp_path: Path) -> None:
    steps, loss = run.history(3)
    assert (steps.tolist(), loss.tolist()) == ([0, 100, 200], [3.5, 3.25, 3.125])
    steps, weights = run.snapshots(4)
    assert steps.tolist() == [0, 100]
    np.testing.assert_array_equal(weights["W"], np.full((2, 5, 2), 4.0))
    steps, weights = run.snapshots(0)
    assert (steps.tolist(), weights) == ([], {})
    bare = RunFolder.open(
        tmp_path / "bare", "demo", "b", {"plan": {}, "engine": 1, "chunks": [[0]]}
    )
    bare.publish(
        0,
        {"W": np.zeros((1, 2, 1)), "history/loss": np.zeros((1, 0))},
        pd.DataFrame({"model": [0]}),
    )
    assert load(bare.path).tensor("history/loss").shape == (1, 0)
    bare = RunFolder.open(
        tmp_path / "bare", "demo", "c", {"plan": {}, "engine": 1, "chunks": [[0]]}
    )
    bare.publish(0, {"W": np.zeros((1, 2, 1))}, pd.DataFrame({"model": [0]}))
    assert [part.tolist() for part in load(bare.path).history(0)] == [[], []]


def test_an_unfinished_run_loads_with_what_is_there(tmp_path: Path) -> None:
    run = load(make(tmp_path, chunks=(1,)).path)
    assert not run.complete
    assert run.n_models == 7
    assert run.table.index.tolist() == [1, 4]
    assert run.tensor("W")[:, 0, 0].tolist() == [1.25, 4.25]
    with pytest.raises(IncompleteError, match=r"model 0 of .* is not finished"):
        run.tensor("W", [1, 0])
    empty = load(make(tmp_path / "empty", chunks=()).path)
    assert empty.table["model"].tolist() == []
    assert not empty.complete


def test_load_takes_a_run_its_link_or_its_name(tmp_path: Path) -> None:
    make(tmp_path, run_id="older")
    path = make(tmp_path).path
    for given_path in (path, str(tmp_path / "demo" / "latest"), tmp_path / "demo"):
        assert load(given_path).path == path.resolve()


def test_load_names_the_nearest_runs(tmp_path: Path) -> None:
    make(tmp_path, chunks=(), name="phase_change")
    make(tmp_path, chunks=(), name="intro")
    with pytest.raises(
        SuperposError, match=r"phase_chang/latest does not exist; there is \S*phase_change/latest"
    ):
        load(tmp_path / "phase_chang" / "latest")
    with pytest.raises(SuperposError, match=r"is not a run folder; there is \S*/latest"):
        load(tmp_path)
    (tmp_path / "intro" / "latest").unlink()
    with pytest.raises(
        SuperposError, match=r"intros does not exist; there is \S*intro/0123456789ab"
    ):
        load(tmp_path / "intros")


def test_load_where_nothing_is_near(tmp_path: Path) -> None:
    apart = tmp_path / "far" / "from" / "other" / "tests"  # whose runs would be near
    apart.mkdir(parents=True)
    with pytest.raises(SuperposError, match=r"does not exist$") as caught:
        load(apart / "a" / "b" / "c" / "d" / "e")
    assert caught.value.exit_code == 2


def test_a_file_is_not_a_run(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(SuperposError, match="x is not a run folder"):
        load(tmp_path / "x")


def test_find_runs_and_the_latest(tmp_path: Path) -> None:
    for find in (find_runs, latest_run):
        with pytest.raises(SuperposError, match=r"no runs in .*superpos train"):
            find(tmp_path / "nowhere")
    first = make(tmp_path, chunks=(), name="b", run_id="1")
    second = make(tmp_path, chunks=(), name="a", run_id="2")
    RunFolder.open(tmp_path, "a", "2", {"plan": "new", "engine": "e", "chunks": []}, fresh=True)
    (tmp_path / "a" / "notes").mkdir()
    assert find_runs(tmp_path) == [second.path, first.path]
    os.utime(tmp_path / "a" / "latest", ns=(0, 0), follow_symlinks=False)
    # links set one after another, whatever the clock's grain
    for number, name in enumerate(("b", "a", "b")):
        os.utime(tmp_path / name / "latest", ns=(0, number + 1), follow_symlinks=False)
        assert latest_run(tmp_path) == {"a": second, "b": first}[name].path.resolve()


def test_a_run_says_what_it_is(run: Run) -> None:
    assert repr(run) == f"Run('{run.path}', {len(run.table)} of {run.n_models} models)"


def test_find_runs_needs_a_run(tmp_path: Path) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "latest").symlink_to("gone")
    with pytest.raises(SuperposError, match="no runs in"):
        find_runs(tmp_path)
    with pytest.raises(SuperposError, match="no runs in"):
        latest_run(tmp_path)


def test_the_digest_does_not_depend_on_order_place_or_storage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digest = make(tmp_path / "a").digest()
    assert make(tmp_path / "b", chunks=(2, 0, 1)).digest() == digest
    assert load(tmp_path / "b" / "demo").digest() == digest
    with monkeypatch.context() as patch:
        write = formats.pq.write_table
        patch.setattr(
            formats.pq, "write_table", lambda table, sink: write(table, sink, compression="zstd")
        )
        other = make(tmp_path / "c")
    assert other.digest() == digest
    assert (other.path / "chunks/00000.parquet").read_bytes() != (
        tmp_path / "a/demo/latest/chunks/00000.parquet"
    ).read_bytes()


def test_the_digest_sees_every_bit_of_a_tensor() -> None:
    W = np.arange(6, dtype=np.float32).reshape(2, 3)
    digest = formats.tensors_digest({"W": W, "b": W})
    assert formats.tensors_digest({"b": W, "W": W.T.copy().T}) == digest
    for bit in range(8 * W.nbytes):
        raw = bytearray(W.tobytes())
        raw[bit // 8] ^= 1 << bit % 8
        flipped = np.frombuffer(bytes(raw), dtype=np.float32).reshape(2, 3)
        assert formats.tensors_digest({"W": flipped, "b": W}) != digest, bit


@pytest.mark.parametrize(
    "changed",
    [
        {"V": np.zeros(6, np.float32)},
        {"W": np.zeros((2, 3), np.float32)},
        {"W": np.zeros(6, np.int32)},
        {},
    ],
    ids=["name", "shape", "dtype", "absent"],
)
def test_the_digest_sees_names_shapes_and_types(changed: dict[str, Any]) -> None:
    assert formats.tensors_digest(changed) != formats.tensors_digest({"W": np.zeros(6, np.float32)})


@pytest.mark.parametrize(
    ("column", "value"),
    [("row_id", "x"), ("seed", np.uint64(1)), ("data.sparsity", [0.5, 0.25]),
     ("data.n_points", 11), ("status", "ok "), ("diverged_at", 8), ("diverged_at", pd.NA),
     ("loss", 0.5 + 2**-53)],
)  # fmt: skip
def test_the_digest_sees_every_value_of_a_table(column: str, value: object) -> None:
    _, table = results(1)

    def digest(frame: pd.DataFrame) -> str:
        return formats.table_digest(formats.unpack_table(formats.pack_table(frame)))

    changed = table.copy()
    changed.at[1, column] = value
    assert digest(table[table.columns[::-1]]) == digest(table)
    assert digest(changed) != digest(table)
    assert digest(table.rename(columns={column: "other"})) != digest(table)
    assert digest(table.drop(columns=column)) != digest(table)
    assert digest(table[::-1]) != digest(table)


def test_the_digest_of_the_run_sees_one_changed_chunk(tmp_path: Path) -> None:
    digests = set()
    for chunk in (0, 1, 2, None):
        folder = make(tmp_path / str(chunk), chunks=())
        for number in range(3):
            tensors, table = results(number)
            bias = tensors["b"].copy()
            bias.view(np.uint32)[0, 0] ^= 1 if number == chunk else 0
            folder.publish(number, {**tensors, "b": bias}, table)
        digests.add(folder.digest())
    assert len(digests) == 4


DTYPES = st.one_of(
    hnp.floating_dtypes(),
    hnp.integer_dtypes(),
    hnp.unsigned_integer_dtypes(),
    st.just(np.dtype(bool)),
)
NAMES = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12).filter(
    lambda name: name != "__metadata__"
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_tensors_survive_the_file(data: st.DataObject) -> None:
    shapes = hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
    arrays = hnp.arrays(DTYPES, shapes) | hnp.arrays(np.float32, (3, 4)).map(np.transpose)
    tensors = data.draw(st.dictionaries(NAMES, arrays, max_size=4))
    found = formats.unpack_tensors(formats.pack_tensors(tensors))
    assert found.keys() == tensors.keys()
    for name, value in tensors.items():
        assert (found[name].shape, found[name].dtype.name) == (value.shape, value.dtype.name)
        little = value.astype(value.dtype.newbyteorder("<"))
        assert found[name].tobytes() == little.tobytes()  # in C order, NaN payloads too
    assert formats.tensors_digest(found) == formats.tensors_digest(tensors)


COLUMNS = {
    "float": st.floats(allow_nan=False),
    "text": st.text(st.characters(codec="utf-8"), max_size=5),
    "list": st.lists(st.floats(allow_nan=False), min_size=1, max_size=3),
    "uint64": st.integers(0, 2**64 - 1),
    "Int64": st.none() | st.integers(-(2**63), 2**63 - 1),
    "bool": st.booleans(),
}


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.integers(0, 5),
    st.dictionaries(NAMES, st.sampled_from(sorted(COLUMNS)), max_size=4),
    st.data(),
)
def test_tables_survive_the_file(n_rows: int, kinds: dict[str, str], data: st.DataObject) -> None:
    frame = pd.DataFrame({"model": np.arange(n_rows)})
    for name, kind in kinds.items():
        values = data.draw(st.lists(COLUMNS[kind], min_size=n_rows, max_size=n_rows))
        dtype = {"list": object, "text": "str"}.get(kind, kind)
        frame[name] = pd.Series(values, dtype=dtype)
    found = formats.to_frame([formats.unpack_table(formats.pack_table(frame))])
    assert found.columns.tolist() == frame.columns.tolist()
    for name, kind in {"model": "int64", **kinds}.items():
        assert found[name].dtype == frame[name].dtype or (kind == "list" and not n_rows), name
        pairs = zip(found[name].tolist(), frame[name].tolist(), strict=True)
        assert all(
            np.array_equal(a, b) if kind == "list" else a is b is pd.NA or a == b for a, b in pairs
        ), name


@pytest.mark.parametrize(("n", "m"), [(1, 1), (3, 33)])
def test_transposed_weights_are_stored_as_they_read(tmp_path: Path, n: int, m: int) -> None:
    folder = RunFolder.open(tmp_path, "demo", "b", {"plan": {}, "engine": 1, "chunks": [[0, 1]]})
    W = np.arange(2 * n * m, dtype=np.float32).reshape(m, n, 2).T  # not in C order
    folder.publish(0, {"W": W}, pd.DataFrame({"model": [0, 1]}))
    np.testing.assert_array_equal(load(folder.path).tensor("W"), W)


def test_the_formats_outlive_the_code(tmp_path: Path) -> None:
    """Everything in a run folder, read by json, hashlib, pandas and safetensors alone."""
    folder = make(tmp_path).path
    manifest = json.loads((folder / "manifest.json").read_text())
    assert (manifest["schema_version"], len(manifest["chunks"])) == (1, 3)
    for record in sorted((folder / "chunks").glob("*.json")):
        for name, facts in json.loads(record.read_text())["files"].items():
            data = (record.parent / name).read_bytes()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (
                facts["bytes"],
                facts["sha256"],
            )
    table = pd.read_parquet(sorted((folder / "chunks").glob("*.parquet")))
    assert table["model"].tolist() == [0, 3, 6, 1, 4, 2, 5]
    W = safetensors.numpy.load_file(folder / "chunks" / "00001.safetensors")["W"]
    assert W[:, 0, 0].tolist() == [1.25, 4.25]


def test_loading_executes_nothing(tmp_path: Path) -> None:
    path, seen = make(tmp_path).path, []
    watched = (
        "pickle.find_class",
        "marshal.loads",
        "exec",
        "os.system",
        "os.exec",
        "subprocess.Popen",
    )
    watching = True

    def hook(event: str, _: object) -> None:
        if watching and event in watched:
            seen.append(event)

    load(path)  # modules imported on first use are no part of what is watched
    sys.addaudithook(hook)  # cannot be removed, only silenced
    run = load(path)
    run.weights(0)
    run.digest()
    watching = False
    assert seen == []
