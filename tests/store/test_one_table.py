"""The files of all chunks of a run are one table for other programs, and what was measured is what
it was.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as dataset
import pyarrow.parquet as pq
import pytest
from auto import FAMILY

import superpos
from superpos.family import forget
from superpos.store import Run, formats
from superpos.store.formats import ColumnType, pack_table, table_digest, unpack_table

TYPES = {
    "list": ColumnType("list"),
    "number": ColumnType("float"),
    "count": ColumnType("int"),
    "word": ColumnType("text"),
    "switch": ColumnType("bool"),
    "left": ColumnType("text", everywhere=False),
    "right": ColumnType("float", everywhere=False),
}
FULL: dict[str, Any] = {
    "model": [0, 1],
    "list": [[0.5, 0.25], None],
    "number": [0.5, np.nan],
    "count": pd.array([1, None], dtype="Int64"),
    "word": ["a", None],
    "switch": [True, False],
    "left": ["x", "y"],
    "right": [1.0, 2.0],
}
NOTHING = np.array([None, None], dtype=object)
FRAMES = {
    "all": FULL,
    ("no values"): FULL
    | dict.fromkeys(("list", "number", "count", "word", "switch", "left", "right"), NOTHING),
    "left only": {name: value for name, value in FULL.items() if name != "right"},
    "right only": {name: value for name, value in FULL.items() if name != "left"},
    "neither": {name: value for name, value in FULL.items() if name not in ("left", "right")},
    ("another order"): {
        "left": FULL["left"],
        **{name: FULL[name] for name in FULL if name != "left"},
    },
}


def plain(frame: pd.DataFrame) -> pa.Table:
    """A table as it is made of a frame, without regard to other chunks."""
    return pa.Table.from_pandas(frame, preserve_index=False)


@pytest.mark.parametrize("name", FRAMES)
def test_files_have_one_schema_and_give_back_what_was_packed(name: str) -> None:
    frame = pd.DataFrame(FRAMES[name])
    data = pack_table(frame, TYPES)
    assert pq.read_schema(pa.BufferReader(data)).equals(
        pq.read_schema(pa.BufferReader(pack_table(pd.DataFrame(FULL), TYPES)))
    )
    back = unpack_table(data)
    assert set(back.column_names) == set(frame.columns)
    assert {field.name: str(field.type) for field in back.schema}.keys() == set(frame.columns)
    assert table_digest(back) == table_digest(plain(frame))
    pd.testing.assert_frame_equal(
        formats.to_frame([back])[list(frame.columns)],
        formats.to_frame([plain(frame)]),
        check_column_type=False,
    )


def test_a_table_without_types_is_stored_as_it_is() -> None:
    frame = pd.DataFrame(FULL)
    assert unpack_table(pack_table(frame)).equals(plain(frame))
    assert table_digest(unpack_table(pack_table(frame.assign(list=NOTHING)))) == table_digest(
        plain(frame.assign(list=NOTHING))
    )


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Chunks with and without geometries."""
    overrides = [
        "model.hidden=linear,relu",
        "model.n_features=2,3",
        "model.n_hidden=1",
        "seed=0,1",
        "train.steps=2",
    ]
    return superpos.train(
        [*overrides, "engine.backend=reference", "name=mixed"], out=tmp_path_factory.mktemp("runs")
    )


def test_other_programs_read_all_chunks_as_one_table(mixed: Run) -> None:
    files = sorted(map(str, (mixed.path / "chunks").glob("*.parquet")))
    assert len(files) == 4
    first, *others = map(pq.read_schema, files)
    assert all(other.equals(first) for other in others)
    for table in (
        pd.read_parquet(files),
        dataset.dataset(files).to_table().to_pandas(),
        pq.read_table(files).to_pandas(),
        pd.concat(map(pd.read_parquet, files)),
    ):
        table = table.sort_values("model").set_index("model", drop=False)
        assert {"geometry", "monosemantic_neurons"} < set(table)
        for name in ("loss", "seed", "model.hidden", "geometry", "monosemantic_neurons"):
            assert table[name].isna().tolist() == mixed.table[name].isna().tolist()
            assert table[name].dropna().tolist() == mixed.table[name].dropna().tolist()


def test_polars_reads_them(mixed: Run) -> None:
    polars = pytest.importorskip("polars")
    assert polars.read_parquet(mixed.path / "chunks" / "*.parquet").shape[0] == mixed.n_models


def test_quarantined_chunks_are_no_part_of_the_table(mixed: Run, tmp_path: Path) -> None:
    run = superpos.train(
        ["train.steps=2", "model.n_features=2", "model.n_hidden=1", "engine.backend=reference"],
        out=tmp_path,
    )
    [tensors] = (run.path / "chunks").glob("*.safetensors")
    tensors.write_bytes(b"")
    again = superpos.train(
        ["train.steps=2", "model.n_features=2", "model.n_hidden=1", "engine.backend=reference"],
        out=tmp_path,
    )
    assert list((run.path / "chunks" / "corrupt").iterdir())
    assert len(pd.read_parquet(sorted((run.path / "chunks").glob("*.parquet")))) == again.n_models


def test_a_run_has_no_more_columns_than_its_chunks_measure(mixed: Run) -> None:
    linear = mixed.folder.read(0)[1]
    assert "geometry" in linear
    assert "monosemantic_neurons" not in linear
    assert list(mixed.table)[: len(linear.columns)] == list(linear)


@pytest.fixture
def auto() -> Iterator[None]:
    superpos.register(FAMILY)
    yield
    forget("auto")


@pytest.mark.usefixtures("auto")
def test_chunks_of_another_family(tmp_path: Path) -> None:
    run = superpos.train(
        ["family=auto", "auto.activation=relu,linear", "auto.n_latents=2,4", "train.steps=2"],
        out=tmp_path,
    )
    first, *others = map(pq.read_schema, sorted((run.path / "chunks").glob("*.parquet")))
    assert len(others) == 3
    assert all(other.equals(first) for other in others)
    table = pd.read_parquet(sorted((run.path / "chunks").glob("*.parquet")))
    assert table["longest"].notna().tolist() == (table["auto.activation"] == "linear").tolist()
    assert sorted(set(table["auto.activation"])) == ["linear", "relu"]


def test_a_family_measures_what_it_says(tmp_path: Path) -> None:
    """What chunks of other models are to have empty must be there where it belongs."""
    wrong = replace(FAMILY, some_columns=lambda _: {"nothing": float})
    superpos.register(wrong)
    try:
        with pytest.raises(ValueError, match="does not measure nothing of its some_columns"):
            superpos.train(["family=auto", "train.steps=2"], out=tmp_path)
    finally:
        forget("auto")
