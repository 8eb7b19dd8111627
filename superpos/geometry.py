"""Which shapes the features of the toy models form: feature graphs, polytopes, labels in words.

`geometry.describe(run.tensor("W"))` names what the features of every model form.
"""

from superpos.families.tms.geometry import (
    DEDICATED,
    NOT_FINITE,
    TAU,
    TAUS,
    Component,
    align,
    components,
    describe,
    icosahedron,
    ideal_shapes,
    n_components,
    named_components,
    octahedron,
    partners,
    polygon,
    polytope,
    simplex,
    square_antiprism,
    stable,
    strengths,
)

__all__ = [
    "DEDICATED",
    "NOT_FINITE",
    "TAU",
    "TAUS",
    "Component",
    "align",
    "components",
    "describe",
    "icosahedron",
    "ideal_shapes",
    "n_components",
    "named_components",
    "octahedron",
    "partners",
    "polygon",
    "polytope",
    "simplex",
    "square_antiprism",
    "stable",
    "strengths",
]
