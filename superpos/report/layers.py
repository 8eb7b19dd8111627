"""What theory knows of the settings of a run, in the form that the page draws for any family."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from superpos.maths.types import Floats
from superpos.report.pack import Pack, half


@dataclass(frozen=True)
class Map:
    """A value of every setting of two axes of the sweep; NaN is drawn as unknown."""

    name: str
    label: str
    axes: Sequence[int]
    values: Floats  # over both axes, in the order of the sweep
    # a second share for each: the colour of which the values say how much
    hue: Floats | None = None
    names: Sequence[str] = ()  # where the values count them


@dataclass(frozen=True)
class Line:
    """A boundary over a map of two axes; None where a stretch ends."""

    label: str
    axes: Sequence[int]
    at: Sequence[Sequence[float | None]]  # along each of the axes


@dataclass(frozen=True)
class Curve:
    """A column of the results as theory has it, over one axis; what is not finite is not drawn."""

    label: str
    axis: int
    column: str
    x: Floats
    y: Floats


@dataclass(frozen=True)
class Layers:
    """All that theory knows of a run."""

    maps: Sequence[Map] = ()
    lines: Sequence[Line] = ()
    curves: Sequence[Curve] = ()
    words: str = ""
    """How far the models agree with theory."""

    def to_json(self, pack: Pack) -> dict[str, Any]:
        """The layers of a page, the values of the maps added to `pack`."""
        return {
            "maps": [_map(layer, pack) for layer in self.maps],
            "lines": [asdict(line) for line in self.lines],
            "curves": [_curve(curve) for curve in self.curves],
            "words": self.words,
        }


def _map(layer: Map, pack: Pack) -> dict[str, Any]:
    arrays = {"values": layer.values}
    if layer.hue is not None:
        arrays["hue"] = layer.hue
    return {
        "name": layer.name,
        "label": layer.label,
        "axes": list(layer.axes),
        "names": list(layer.names),
        "arrays": {name: pack.add(half(values)) for name, values in arrays.items()},
    }


def _curve(curve: Curve) -> dict[str, Any]:
    return {
        "label": curve.label,
        "axis": curve.axis,
        "column": curve.column,
        "x": _finite(curve.x),
        "y": _finite(curve.y),
    }


def _finite(values: Floats) -> list[float | None]:
    """None in place of what JSON cannot hold."""
    return [float(value) if np.isfinite(value) else None for value in values]
