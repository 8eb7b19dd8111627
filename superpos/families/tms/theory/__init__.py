"""Exact losses of small models, their minima, and the paper's phase maps: the referee for
everything trained.

exact          expected_loss, loss_and_gradient       exact L of many tied models (ReLU or linear
output), its gradient
               variance                               V(p) = p/3 - p^2/4
active         ActiveSets                             independent features, correlated and
anticorrelated sets minimise       minimise_loss                          multi-start smallest loss
for a grid of densities and importances descent        refine                                 the
nearest local minimum of given weights energy_levels  family_minimum, crossing
smallest loss of one family of shapes; where two are equal blocks         block_optima, d_star
best polytope for many equal features in few dimensions; D*(p) linear         linear_floor
smallest loss of a linear model: principal components candidates     candidate_losses,
candidate_phase      the paper's candidate losses for n features in n - 1 dimensions
               digon_boundary, TRIPLE_POINT           their boundary r = 2p/(4 - 5p) and triple
               point phase_label, PHASES                    not represented, dedicated or
               superposed: from any weights clear_of_boundary                      cells of a phase
               map that are not next to a boundary
one_hot        one_hot_loss                           one feature at a time, for any n
               one_hot_polygon, one_hot_levels        its k-gons, and its energy levels in two
               dimensions
learning       learning_coefficient                   local learning coefficient, by Langevin steps
on the exact loss capacity       capacity_optimum, quadratic_loss       how a quadratic model shares
its dimensions: closed form
               sharing_boundary                       r = 2 / (kurtosis - 1)
frames         welch_bound, mean_squared_cosine       how evenly directions are spread
               symmetric_loss                         loss of many features in a tight frame: the
               Gaussian limit
data_polygon   data_polygon, data_polygon_norms       T memorised data points in two dimensions
floors         dedicated_floor, absolute_value_floor  a ReLU hidden layer with one feature per
neuron
               positive_part_floor                    the same for max(x, 0), without a bias
               absolute_value_loss                    one output |x| with 0, 1 or 2 neurons
               pair_code, pair_code_loss              every feature in a pair of neurons
strata         stratified_loss                        losses on sets of features, however many, that
can be ranked cross_check    closed_form_loss, quadrature_loss      the same loss of one model by
two other methods, for tests

From other rooms: polygon, simplex, ideal_shapes (`geometry.shapes`), ideal weight matrices. The
ReLU loss is made of moments of the cube over a half-space (`maths.moments`); many small
minimisations at once are `maths.bfgs`.

Everything is float64 and a pure function of arrays; models are leading dimensions: W [..., n, m], b
[..., n].
"""

from superpos.families.tms.geometry.shapes import ideal_shapes, simplex
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
from superpos.families.tms.theory.capacity import (
    Capacity,
    capacity_optimum,
    quadratic_loss,
    sharing_boundary,
)
from superpos.families.tms.theory.cross_check import closed_form_loss, quadrature_loss
from superpos.families.tms.theory.data_polygon import data_polygon, data_polygon_norms
from superpos.families.tms.theory.descent import Minimum, refine
from superpos.families.tms.theory.energy_levels import crossing, family_minimum
from superpos.families.tms.theory.exact import Gradient, expected_loss, loss_and_gradient, variance
from superpos.families.tms.theory.floors import (
    absolute_value_floor,
    absolute_value_loss,
    dedicated_floor,
    pair_code,
    pair_code_loss,
    positive_part_floor,
)
from superpos.families.tms.theory.frames import (
    Symmetric,
    mean_squared_cosine,
    symmetric_loss,
    welch_bound,
)
from superpos.families.tms.theory.learning import LearningCoefficient, learning_coefficient
from superpos.families.tms.theory.linear import linear_floor
from superpos.families.tms.theory.minimise import minimise_loss
from superpos.families.tms.theory.one_hot import (
    FEWEST_SIDES,
    Level,
    Polygon,
    one_hot_levels,
    one_hot_loss,
    one_hot_polygon,
)
from superpos.maths.polygon import polygon

__all__ = [
    "FEWEST_SIDES",
    "PHASES",
    "TRIPLE_POINT",
    "Blocks",
    "Candidate",
    "Capacity",
    "Gradient",
    "LearningCoefficient",
    "Level",
    "Minimum",
    "Polygon",
    "Symmetric",
    "absolute_value_floor",
    "absolute_value_loss",
    "block_optima",
    "candidate_losses",
    "candidate_phase",
    "capacity_optimum",
    "clear_of_boundary",
    "closed_form_loss",
    "crossing",
    "d_star",
    "data_polygon",
    "data_polygon_norms",
    "dedicated_floor",
    "digon_boundary",
    "expected_loss",
    "family_minimum",
    "ideal_shapes",
    "learning_coefficient",
    "linear_floor",
    "loss_and_gradient",
    "mean_squared_cosine",
    "minimise_loss",
    "one_hot_levels",
    "one_hot_loss",
    "one_hot_polygon",
    "pair_code",
    "pair_code_loss",
    "phase_label",
    "polygon",
    "positive_part_floor",
    "quadratic_loss",
    "quadrature_loss",
    "refine",
    "sharing_boundary",
    "simplex",
    "symmetric_loss",
    "variance",
    "welch_bound",
]
