"""Figures of a user's own folder: files figures/NAME.py, each with `draw(run)`, and `applies(run)`
where not every run has what they show. The first line of a file's docstring describes it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from superpos.errors import ConfigError
from superpos.family import Figure
from superpos.figures import library
from superpos.user.folder import FIGURES, defined_in, modules_in

if TYPE_CHECKING:
    from matplotlib import figure as mpl

    from superpos.figures.points import Run


def own_figures(folder: Path | None, taken: Collection[str]) -> dict[str, Figure]:
    """The figures of a folder of configs by name; none without a folder. Runs its files.

    Raises:
        ConfigError: a file cannot be run, has no `draw`, or has the name of a figure that is
        `taken`.
    """
    if folder is None:
        return {}
    library.open_matplotlib()  # which the files import
    modules = modules_in(folder, FIGURES)
    faults = [
        f"{modules[name].__file__}: has the name of a figure of superpos; rename it"
        for name in modules
        if name in taken
    ]
    drawn = {name: _Drawn(module) for name, module in modules.items()}
    faults += [
        (f"{module.path}: has no function draw(run)")
        for module in drawn.values()
        if "draw" not in module.functions
    ]
    if faults:
        raise ConfigError(faults)
    return {name: Figure(module.description, module) for name, module in drawn.items()}


@dataclass(frozen=True)
class _Drawn:
    """A file with a figure, as a module of figures."""

    module: ModuleType

    @property
    def path(self) -> str:
        return str(self.module.__file__)

    @property
    def functions(self) -> dict[str, Any]:
        return defined_in(self.module)

    @property
    def description(self) -> str:
        """The first paragraph of the module's docstring, as one line."""
        return " ".join((self.module.__doc__ or "").strip().partition("\n\n")[0].split())

    def applies(self, run: Run) -> str | None:
        """Why the run cannot be shown, in words that go on from the figure's name, or None."""
        asked = self.functions.get("applies")
        reason: str | None = asked(run) if asked else None
        return reason

    def draw(self, run: Run) -> mpl.Figure:
        """The figure. Raises `ConfigError` where the file's function gives something else."""
        from matplotlib.figure import Figure as Drawing

        drawing = self.functions["draw"](run)
        if not isinstance(drawing, Drawing):
            raise ConfigError(
                f"{self.path}: draw gives a {type(drawing).__name__}; allowed: a matplotlib figure"
            )
        return drawing
