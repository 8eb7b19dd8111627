"""Set before torch and triton are imported, and inherited by the processes that tests start."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from explorer import Explorer
    from playwright.sync_api import Browser

    from superpos.store import Run

# The tensors of these tests are small: waiting for each other's threads would take most of the
# time. The processes that tests start inherit it.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch  # reads the number of threads

# Without a GPU the kernels for one run in Triton's interpreter.
if not torch.cuda.is_available():
    os.environ.setdefault("TRITON_INTERPRET", "1")


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that other users may enter and read, which pytest's own is not."""
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        folder.chmod(0o755)
        yield folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium."""
    from browser import running_browser  # playwright takes its time, and few tests need it

    with running_browser() as started:
        yield started


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Run]:
    """The run of a sweep in `explorer.SWEEPS`, trained once, its page beside it."""
    from explorer import SWEEPS

    import superpos
    from superpos import report

    out, trained = tmp_path_factory.mktemp("runs"), dict[str, "Run"]()

    def run(name: str) -> Run:
        if name not in trained:
            trained[name] = superpos.train([*SWEEPS[name], "engine.threads=1"], out=out)
            report.write(trained[name])
        return trained[name]

    return run


@pytest.fixture
def explore(browser: Browser, runs: Callable[[str], Run]) -> Iterator[Callable[..., Explorer]]:
    """Opens the page of a sweep or a file; nothing may have gone wrong in it, and nothing asked a
    network.
    """
    from browser import Tab
    from explorer import Explorer

    tabs: list[Tab] = []

    def opened(of: str | Path, fragment: str = "", **options: Any) -> Explorer:
        tabs.append(Tab(browser, **options))
        return Explorer(
            tabs[-1], of if isinstance(of, Path) else runs(of).path / "report.html", fragment
        )

    yield opened
    for tab in tabs:
        tab.close()
