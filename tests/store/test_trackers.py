"""`superpos export --as tensorboard|wandb`: read back as these tools read it; nothing is sent,
nothing lost.
"""

from __future__ import annotations

import json
import os
import socket
import struct
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

import superpos
from superpos.cli import app
from superpos.store import Run, trackers

WORDS = [
    *("model.n_features=3", "data.sparsity=0.5,[0.1,0.5,0.9]", "seed=0,1"),
    *("train.steps=4", "record.loss_every=2"),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """Four models, one setting with a list, with recorded losses."""
    return superpos.train(WORDS, out=tmp_path_factory.mktemp("outputs"))


def export(run: Run, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["export", str(run.path), *arguments])


def needs(tool: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(tool) is None, reason=f"needs {tool}")


TOOLS = [pytest.param(tool, marks=needs(tool)) for tool in trackers.TRACKERS]


def recorded(run: Run, model: int) -> list[tuple[int, float]]:
    """What the run itself knows of a model's losses."""
    steps, losses = run.history(model)
    return list(zip(steps.tolist(), losses.tolist(), strict=True))


# --- TensorBoard ----------------------------------------------------------------------------------

READ_BOARD = """\
import json, sys
from tensorboard.backend.event_processing.event_multiplexer import EventMultiplexer
from tensorboard.plugins.hparams import metadata

events = EventMultiplexer().AddRunsFromDirectory(sys.argv[1])
events.Reload()
found = {}
for run, kinds in events.Runs().items():
    scalars = {}
    for tag in kinds["scalars"]:
        scalars[tag] = [[e.step, e.value] for e in events.Scalars(run, tag)]
    content = events.SummaryMetadata(run, metadata.SESSION_START_INFO_TAG).plugin_data.content
    start = metadata.parse_session_start_info_plugin_data(content)
    told = {name: getattr(value, value.WhichOneof("kind")) for name, value in start.hparams.items()}
    found[run] = {"scalars": scalars, "told": told, "group": start.group_name}
print(json.dumps(found))
"""


@needs("tensorboard")
def test_tensorboard_reads_losses_settings_and_results(run: Run, tmp_path: Path) -> None:
    done = export(run, "--as=tensorboard", f"--to={tmp_path / 'board'}", "--models=3,0")
    assert (done.exit_code, done.stdout) == (0, f"{tmp_path / 'board'}\n"), done.stderr
    assert f"tensorboard --logdir {tmp_path / 'board'}" in done.stderr
    read = [sys.executable, "-c", READ_BOARD, str(tmp_path / "board")]
    found = json.loads(subprocess.run(read, check=True, capture_output=True, text=True).stdout)
    assert set(found) == {"model-00000", "model-00003"}
    for name, shown in found.items():
        row = run.table.loc[int(name[-5:])]
        assert shown["group"] == name
        assert shown["scalars"]["train/loss"] == [
            [s, pytest.approx(x)] for s, x in recorded(run, row["model"])
        ]
        [[step, loss]] = shown["scalars"]["final/loss"]
        assert (step, loss) == (4, pytest.approx(row["loss"]))  # single precision
        assert shown["told"]["seed"] == row["seed"]
        assert shown["told"]["model.tied"] is True
        assert shown["told"]["geometry"] == row["geometry"]
        assert json.loads(shown["told"]["data.sparsity"]) == list(row["data.sparsity"])
        assert not {"diverged_at", "final/diverged_at", "model"} & {
            *shown["told"],
            *shown["scalars"],
        }


READ_TABLE = """\
import json, sys
from tensorboard import context
from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.hparams import api_pb2, backend_context, list_session_groups

events = plugin_event_multiplexer.EventMultiplexer().AddRunsFromDirectory(sys.argv[1])
events.Reload()
provider = data_provider.MultiplexerDataProvider(events, sys.argv[1])
board = base_plugin.TBContext(multiplexer=events, data_provider=provider)
asked = api_pb2.ListSessionGroupsRequest(slice_size=100, allowed_statuses=[0, 1, 2, 3])
answer = list_session_groups.Handler(
    context.RequestContext(), backend_context.Context(board), "", asked
).run()
losses = {
    group.name: metric.value
    for group in answer.session_groups
    for metric in group.metric_values
    if metric.name.tag == "final/loss"
}
print(json.dumps(losses))
"""


@needs("tensorboard")
def test_tensorboards_table_of_hyperparameters_has_every_model(run: Run, tmp_path: Path) -> None:
    """What its server answers to the page."""
    export(run, "--as=tensorboard", f"--to={tmp_path / 'board'}")
    read = [sys.executable, "-c", READ_TABLE, str(tmp_path / "board")]
    found = json.loads(subprocess.run(read, check=True, capture_output=True, text=True).stdout)
    losses = {f"model-{number:05d}": loss for number, loss in run.table["loss"].items()}
    assert found == pytest.approx(losses, rel=1e-6)  # single precision


# --- W&B ------------------------------------------------------------------------------------------


def records(path: Path) -> Iterator[bytes]:
    """The records of a .wandb file: a header of 7 bytes, then LevelDB's log format in blocks of 32
    KiB.
    """
    data = path.read_bytes()
    assert data[:4] == b":W&B"
    at, parts = 7, b""
    while at + 7 <= len(data):
        left = 32768 - at % 32768
        if left < 7:
            at += left
            continue
        length, kind = struct.unpack_from("<HB", data, at + 4)  # behind a checksum
        parts += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield parts
            parts = b""


def read_wandb(path: Path) -> dict[str, Any]:
    """What an offline run holds, by W&B's own message types."""
    from wandb.proto.wandb_internal_pb2 import Record

    found: dict[str, Any] = {"history": [], "summary": {}, "config": {}}
    for data in records(path):
        record = Record.FromString(data)
        kind = record.WhichOneof("record_type")
        if kind == "run":
            found |= {
                "id": record.run.run_id,
                "group": record.run.run_group,
                "name": record.run.display_name,
            }
            found["config"] |= {
                item.key: json.loads(item.value_json) for item in record.run.config.update
            }
        elif kind == "config":
            found["config"] |= {
                item.key: json.loads(item.value_json) for item in record.config.update
            }
        elif kind == "history":
            items = {
                "/".join(item.nested_key) or item.key: json.loads(item.value_json)
                for item in record.history.item
            }
            found["history"].append(items)
        elif kind == "summary":
            items = {
                "/".join(item.nested_key) or item.key: item.value_json
                for item in record.summary.update
            }
            found["summary"] |= {key: json.loads(value) for key, value in items.items()}
        elif kind is not None:
            found.setdefault("other", set()).add(kind)
    return found


@needs("wandb")
def test_wandb_reads_losses_settings_and_results_and_hears_nothing(
    run: Run, tmp_path: Path
) -> None:
    """An environment that asks for uploads, and a server that would take them."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        told = {
            "WANDB_MODE": "online",
            "WANDB_BASE_URL": url,
            "WANDB_API_KEY": "0" * 40,
            "WANDB_DIR": str(tmp_path),
        }
        command = [
            "-m",
            "superpos",
            "export",
            run.path,
            "--as=wandb",
            f"--to={tmp_path / 'bee'}",
            "--models=best",
        ]
        done = subprocess.run(
            [sys.executable, *command],
            env=os.environ | told,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (0, f"{tmp_path / 'bee'}\n"), done.stderr
        with pytest.raises(BlockingIOError):
            server.accept()
    assert (
        f"nothing was sent; upload them with: wandb sync {tmp_path / 'bee'}/wandb/offline-run-*"
        in done.stderr
    )
    assert [path.name for path in tmp_path.iterdir()] == ["bee"]
    files = sorted((tmp_path / "bee" / "wandb").glob("offline-run-*/*.wandb"))
    losses = run.table["loss"]
    best = [int(losses.loc[[0, 1]].idxmin()), int(losses.loc[[2, 3]].idxmin())]
    found = [read_wandb(path) for path in files]
    assert [shown["name"] for shown in found] == [f"model-{number:05d}" for number in best]
    for number, shown in zip(best, found, strict=True):
        row = run.table.loc[number]
        assert shown["id"] == f"{run.path.name}-{number}"
        assert shown["group"] == f"custom-{run.path.name}"
        history = [(step["_step"], step["train/loss"]) for step in shown["history"]]
        assert history == recorded(run, number)
        assert shown["config"]["seed"] == row["seed"]
        assert shown["config"]["model.tied"] is True
        assert shown["config"]["data.sparsity"] == list(row["data.sparsity"])
        assert shown["summary"]["loss"] == row["loss"]
        assert shown["summary"]["geometry"] == row["geometry"]
        assert "diverged_at" not in shown["summary"]


# --- both -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("tool", TOOLS)
def test_a_folder_that_holds_something_is_left_as_it_is(
    tool: str, run: Run, tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    (tmp_path / "to" / "mine.txt").write_text("mine")
    failed = export(run, f"--as={tool}", f"--to={tmp_path / 'to'}")
    assert failed.exit_code == 2
    assert failed.stderr == (
        f"superpos: cannot write {tmp_path / 'to'}: it is there already; remove it, or give "
        "another --to\n"
    )
    assert [path.name for path in tmp_path.rglob("*")] == ["to", "mine.txt"]


@pytest.mark.parametrize("tool", trackers.TRACKERS)
def test_a_folder_is_not_called_like_a_table(tool: str, run: Run, tmp_path: Path) -> None:
    failed = export(run, f"--as={tool}", f"--to={tmp_path / 'runs.csv'}")
    assert failed.exit_code == 2
    allowed = "the name of a folder, without .csv"
    assert f"--as={tool} writes a folder; allowed: {allowed}" in " ".join(failed.stderr.split())
    assert not list(tmp_path.iterdir())


@needs("tensorboard")
def test_an_empty_folder_is_filled_and_a_run_has_a_place_for_exports(
    run: Run, tmp_path: Path
) -> None:
    (tmp_path / "to").mkdir()
    assert export(run, "--as=tensorboard", f"--to={tmp_path / 'to'}", "--models=0").exit_code == 0
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["model-00000"]
    assert (
        export(run, "--as=tensorboard", "--models=1").stdout
        == f"{run.path / 'export' / 'tensorboard'}\n"
    )
    assert superpos.load(run.path).complete


@needs("tensorboard")
def test_nothing_is_left_where_writing_fails(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setitem(trackers.TRACKERS, "tensorboard", trackers.Tracker(fail, 9))
    failed = export(run, "--as=tensorboard", f"--to={tmp_path / 'to'}")
    assert (failed.exit_code, failed.stderr) == (
        2,
        f"superpos: cannot write {tmp_path / 'to'}: No space left on device\n",
    )
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("tool", TOOLS)
def test_more_models_than_a_tool_can_show_are_refused(
    tool: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = trackers.Tracker(trackers.TRACKERS[tool].write, 3)
    monkeypatch.setitem(trackers.TRACKERS, tool, few)
    failed = export(run, f"--as={tool}", f"--to={tmp_path / 'to'}")
    assert failed.exit_code == 2
    assert failed.stderr == (
        f"superpos: --as={tool}: got 4 models; allowed: 3 at most: --models=best, or some of them\n"
    )
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("tool", trackers.TRACKERS)
@pytest.mark.parametrize("arguments", [["--by-setting"], ["--model=1"]])
def test_options_of_other_formats_are_refused(
    tool: str, arguments: list[str], run: Run, tmp_path: Path
) -> None:
    failed = export(run, f"--as={tool}", f"--to={tmp_path / 'to'}", *arguments)
    assert failed.exit_code == 2
    assert (
        failed.stderr
        == f"superpos: --as={tool}: takes --models: all, best of each setting, or 0,3,10:20\n"
    )
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize("tool", trackers.TRACKERS)
def test_a_tool_that_is_missing_is_named(
    tool: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where a folder of the tool's name lies about, as W&B leaves one."""
    (tmp_path / tool).mkdir()
    monkeypatch.chdir(tmp_path)
    hidden = f"""\
import sys
from importlib.machinery import PathFinder

class Without(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return super().find_spec(name, [{str(tmp_path)!r}] if name == {tool!r} else path, target)

sys.meta_path[sys.meta_path.index(PathFinder)] = Without
sys.argv = ["superpos", "export", {str(run.path)!r}, "--as={tool}", "--to=to"]
from superpos.cli import main
main()
"""
    failed = subprocess.run(
        [sys.executable, "-c", hidden], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 2
    assert (
        failed.stderr == f"superpos: --as={tool}: needs a package: pip install 'superpos[{tool}]'\n"
    )
    assert not (tmp_path / "to").exists()
