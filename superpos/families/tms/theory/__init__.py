"""Exact losses of small models, their minima, and the paper's phase maps: the referee for everything trained.

exact          expected_loss, loss_and_gradient       exact L of many tied models (ReLU or linear output), its gradient
               variance                               V(p) = p/3 - p^2/4
active         ActiveSets                             independent features, correlated and anticorrelated sets
minimise       minimise_loss                          multi-start smallest loss for a grid of densities and importances
descent        refine                                 the nearest local minimum of given weights
energy_levels  family_minimum, crossing               smallest loss of one family of shapes; where two are equal
blocks         block_optima, d_star                   best polytope for many equal features in few dimensions; D*(p)
linear         linear_floor                           smallest loss of a linear model: principal components
candidates     candidate_losses, candidate_phase      the paper's candidate losses for n features in n - 1 dimensions
               digon_boundary, TRIPLE_POINT           their boundary r = 2p/(4 - 5p) and triple point
               phase_label, PHASES                    not represented, dedicated or superposed: from any weights
               clear_of_boundary                      cells of a phase map that are not next to a boundary
floors         dedicated_floor, absolute_value_floor  a ReLU hidden layer with one feature per neuron
               absolute_value_loss                    one output |x| with 0, 1 or 2 neurons
               pair_code, pair_code_loss              every feature in a pair of neurons
strata         stratified_loss                        losses on sets of features, however many, that can be ranked
cross_check    closed_form_loss, quadrature_loss      the same loss of one model by two other methods, for tests

From other rooms: polygon, simplex, ideal_shapes (`geometry.shapes`), ideal weight matrices. The ReLU loss is made of
moments of the cube over a half-space (`maths.moments`); many small minimisations at once are `maths.bfgs`.

Everything is float64 and a pure function of arrays; models are leading dimensions: W [..., n, m], b [..., n].
"""

from superpos.families.tms.geometry.shapes import ideal_shapes, polygon, simplex
from superpos.families.tms.theory.blocks import Blocks, block_optima, d_star
from superpos.families.tms.theory.candidates import (
    PHASES,
    TRIPLE_POINT,
    Candidate,
    candidate_losses,
    candidate_phase,
    clear_of_boundary,
    digon_boundary,
    phase_label,
)
from superpos.families.tms.theory.cross_check import closed_form_loss, quadrature_loss
from superpos.families.tms.theory.descent import Minimum, refine
from superpos.families.tms.theory.energy_levels import crossing, family_minimum
from superpos.families.tms.theory.exact import Gradient, expected_loss, loss_and_gradient, variance
from superpos.families.tms.theory.floors import (
    absolute_value_floor,
    absolute_value_loss,
    dedicated_floor,
    pair_code,
    pair_code_loss,
)
from superpos.families.tms.theory.linear import linear_floor
from superpos.families.tms.theory.minimise import minimise_loss

__all__ = [
    "PHASES",
    "TRIPLE_POINT",
    "Blocks",
    "Candidate",
    "Gradient",
    "Minimum",
    "absolute_value_floor",
    "absolute_value_loss",
    "block_optima",
    "candidate_losses",
    "candidate_phase",
    "clear_of_boundary",
    "closed_form_loss",
    "crossing",
    "d_star",
    "dedicated_floor",
    "digon_boundary",
    "expected_loss",
    "family_minimum",
    "ideal_shapes",
    "linear_floor",
    "loss_and_gradient",
    "minimise_loss",
    "pair_code",
    "pair_code_loss",
    "phase_label",
    "polygon",
    "quadrature_loss",
    "refine",
    "simplex",
    "variance",
]
