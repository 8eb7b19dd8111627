"""The site that is built from the documents: every page is in its navigation, and links lead to what is there."""

from __future__ import annotations

import os
import subprocess
import sys
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

ROOT = Path(__file__).parent.parent
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


@pytest.mark.skipif(find_spec("mkdocs_jupyter") is None or find_spec("material") is None, reason="needs superpos[docs]")
def test_the_site_builds_and_its_links_lead_on(tmp_path: Path) -> None:
    command = ["build", "--strict", "--quiet", f"--config-file={SETTINGS}", f"--site-dir={tmp_path}"]
    quiet = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", *command], env=quiet, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (built.returncode, built.stdout) == (0, ""), built.stderr
    pages = {page: Links(page) for page in tmp_path.rglob("*.html")}
    documents = {path.stem for path in (ROOT / "docs").glob("*.md")}
    documents |= {path.stem for path in (ROOT / "docs" / "notebooks").glob("*.ipynb")}
    assert documents | {"index", "CONTRIBUTING", "CHANGELOG"} <= {page.stem for page in pages}
    faults = []
    for page, links in pages.items():
        faults += [f"{page.name} loads {link}" for link in links.loads if urlsplit(link).netloc]
        inner = [urlsplit(link) for link in links.leads | links.loads]
        for link in (found for found in inner if not found.scheme and not found.netloc and page.name != "404.html"):
            target = (page.parent / unquote(link.path)).resolve() if link.path else page
            known = pages[target].names if target in pages else set()
            if not target.exists() or (link.fragment and target in pages and unquote(link.fragment) not in known):
                faults.append(f"{page.name} leads to {link.geturl()}")
    assert faults == []
