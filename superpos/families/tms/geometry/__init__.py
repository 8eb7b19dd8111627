"""Which shapes the features of a model form: feature graph, its components, their polytopes, a
rotation to draw them.

graph        components, n_components      of represented features, two joined where abs(W_i·W_j) >
τ
             strengths, TAU, TAUS          its edges; τ, and its values for which labels should be
             the same
polytopes    polytope, named_components    the shape of one component, of all components of a model
labels       describe, stable              a model in words: "2 digons + 1 dedicated"
sets         partners                      how the features of correlated sets lie to each other
shapes       polygon, simplex, octahedron, square_antiprism, icosahedron    ideal vectors
             ideal_shapes                  every way to fill dimensions with them
gauge        align                         models turned so that they can be compared by eye

Source: Elhage et al. 2022, *Toy Models of Superposition*, "The geometry of superposition".
Everything is float64 and a pure function of arrays. Shapes: M models, F features (n), H hidden (m).
"""

from superpos.families.tms.geometry.gauge import align
from superpos.families.tms.geometry.graph import TAU, TAUS, components, n_components, strengths
from superpos.families.tms.geometry.labels import NOT_FINITE, describe, stable
from superpos.families.tms.geometry.polytopes import (
    DEDICATED,
    Component,
    named_components,
    polytope,
)
from superpos.families.tms.geometry.sets import partners
from superpos.families.tms.geometry.shapes import (
    icosahedron,
    ideal_shapes,
    octahedron,
    simplex,
    square_antiprism,
)
from superpos.maths.polygon import polygon

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
