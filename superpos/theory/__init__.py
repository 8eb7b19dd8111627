"""Exact losses of small models, their minima, and the paper's phase maps: the referee for everything trained.

exact        expected_loss, loss_and_gradient      exact L of many tied models (ReLU or linear output) and its gradient
             variance                              V(p) = p/3 - p^2/4
minimise     minimise_loss                         multi-start smallest loss for a grid of densities and importances
             refine                                the nearest local minimum of given weights
candidates   candidate_losses, candidate_phase     the paper's candidate losses for n features in n - 1 dimensions
             digon_boundary, TRIPLE_POINT          their boundary r = 2p/(4 - 5p) and triple point
             phase_label, PHASES                   not represented, dedicated or superposed: from any weights
             clear_of_boundary                     cells of a phase map that are not next to a boundary
shapes       polygon, simplex, ideal_shapes        ideal weight matrices
reference    closed_form_loss, quadrature_loss     the same loss of one model by two other methods, for tests
moments      half_space_moments                    moments of the cube over a half-space, which carry the ReLU loss
bfgs         bfgs                                  many small minimisations at once

Everything is float64 and a pure function of arrays; models are leading dimensions: W [..., n, m], b [..., n].
"""

from superpos.theory.candidates import (
    PHASES,
    TRIPLE_POINT,
    Candidate,
    candidate_losses,
    candidate_phase,
    clear_of_boundary,
    digon_boundary,
    phase_label,
)
from superpos.theory.exact import Gradient, expected_loss, loss_and_gradient, variance
from superpos.theory.minimise import Minimum, minimise_loss, refine
from superpos.theory.reference import closed_form_loss, quadrature_loss
from superpos.theory.shapes import ideal_shapes, polygon, simplex

__all__ = [
    "PHASES",
    "TRIPLE_POINT",
    "Candidate",
    "Gradient",
    "Minimum",
    "candidate_losses",
    "candidate_phase",
    "clear_of_boundary",
    "closed_form_loss",
    "digon_boundary",
    "expected_loss",
    "ideal_shapes",
    "loss_and_gradient",
    "minimise_loss",
    "phase_label",
    "polygon",
    "quadrature_loss",
    "refine",
    "simplex",
    "variance",
]
