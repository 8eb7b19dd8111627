"""Which folder a user means."""

from __future__ import annotations

import difflib
from pathlib import Path

from superpos.errors import SuperposError
from superpos.store.files import explained
from superpos.store.folder import LATEST, is_old, is_run


def find_runs(out: Path) -> list[Path]:
    """Run folders out/<name>/<run_id>, sorted; those that --fresh moved aside are left out.

    Raises `SuperposError` when there is none.
    """
    runs = _runs_below(out)
    if not runs:
        raise SuperposError(f"no runs in {out}: train one with `superpos train`")
    return runs


def latest_run(out: Path) -> Path:
    """The run that was started last: of the targets of out/*/latest, the one whose link was set last.

    Raises `SuperposError` when there is none, naming a run that no link leads to.
    """
    with explained("read", out):
        links = [link for link in out.glob(f"*/{LATEST}") if is_run(link)]
        if not links:
            [run, *_] = find_runs(out)
            raise SuperposError(f"no {out}/*/{LATEST} leads to a run: name one, such as {run}")
        return max(links, key=lambda link: (link.lstat().st_mtime_ns, link.parent.name)).resolve()


def locate(path: Path) -> Path:
    """The run folder that a path names: a run, a `latest` link, or a name's folder (its latest run).

    Raises `SuperposError` naming the nearest runs.
    """
    with explained("read", path):
        for candidate in (path, path / LATEST):
            if is_run(candidate):
                return candidate.resolve()
        problem = "is not a run folder" if path.exists() else "does not exist"
        near = _nearest(path)
    hint = f"; there is {', '.join(map(str, near))}" if near else ""
    raise SuperposError(f"{path} {problem}{hint}")


def _runs_below(out: Path) -> list[Path]:
    if not out.is_dir():
        return []
    with explained("read", out):
        found = (path.parent for path in out.glob("*/*/manifest.json"))
        return sorted(path for path in found if not path.is_symlink() and not is_old(path))


def _nearest(path: Path, count: int = 3) -> list[Path]:
    """Runs with a path that holds the last part of `path` or is spelt like it, as a user would write them."""
    folder = next((folder for folder in (path, *path.parents) if folder.is_dir()), Path())
    for out in (folder, folder / "outputs", folder.parent, folder.parent.parent):
        runs = _runs_below(out)
        links = {run.with_name(LATEST) for run in runs if run.with_name(LATEST).exists()}
        names = {str(known): known for known in [*links, *runs]}
        if names:
            likest = difflib.get_close_matches(str(path), names, n=len(names), cutoff=0.0)
            return [names[name] for name in sorted(likest, key=lambda name: path.name not in name)[:count]]
    return []
