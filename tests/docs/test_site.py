"""The site that is built from the documents: every page is in its navigation, and links lead to
what is there.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from places import ROOT

pytestmark = pytest.mark.slow

SETTINGS = ROOT / "docs" / "site" / "mkdocs.yml"


class Links(HTMLParser):
    """What a page loads, what it leads to, and the names of its parts."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.leads: set[str] = set()
        self.loads: set[str] = set()
        self.names: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        if found := given.get("href" if tag in ("a", "link") else "src"):
            (self.leads if tag == "a" else self.loads).add(found)
        if name := given.get("id"):
            self.names.add(name)


DOCUMENTS = [*(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "notebooks").glob("*.ipynb")]


def pages_of(entries: list[dict[str, Any]]) -> Iterator[str]:
    """The documents of a navigation."""
    for entry in entries:
        for inside in entry.values():
            yield from [inside] if isinstance(inside, str) else pages_of(inside)


def test_every_document_is_in_the_navigation() -> None:
    pages = list(pages_of(yaml.safe_load(SETTINGS.read_text())["nav"]))
    assert {path.relative_to(ROOT).as_posix() for path in DOCUMENTS} <= set(pages)
    assert len(pages) == len(set(pages))
    assert [page for page in pages if not (ROOT / page).is_file()] == []


@pytest.mark.skipif(
    find_spec("mkdocs_jupyter") is None or find_spec("material") is None,
    reason="needs superpos[docs]",
)
def test_the_site_builds_and_its_links_lead_on(tmp_path: Path) -> None:
    command = [
        "build",
        "--strict",
        "--quiet",
        f"--config-file={SETTINGS}",
        f"--site-dir={tmp_path}",
    ]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", *command],
        env=quiet,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (built.returncode, built.stdout) == (0, ""), built.stderr
    pages = {page: Links(page) for page in tmp_path.rglob("*.html")}
    named = {path.stem for path in DOCUMENTS} | {"index", "CONTRIBUTING", "CHANGELOG"}
    assert named <= {page.stem for page in pages}
    faults = []
    for page, links in pages.items():
        faults += [f"{page.name} loads {link}" for link in links.loads if urlsplit(link).netloc]
        inner = [urlsplit(link) for link in links.leads | links.loads]
        for link in (
            found
            for found in inner
            if not found.scheme and not found.netloc and page.name != "404.html"
        ):
            target = (page.parent / unquote(link.path)).resolve() if link.path else page
            known = pages[target].names if target in pages else set()
            if not target.exists() or (
                link.fragment and target in pages and unquote(link.fragment) not in known
            ):
                faults.append(f"{page.name} leads to {link.geturl()}")
    assert faults == []
