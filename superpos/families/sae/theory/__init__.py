"""Exact optima of SAEs in simple worlds, and chance: the referee of what is trained.

chance        chance               cosine of a feature with the nearest of m random latents
              chance_found         how often that is above a threshold
l1            l1_optimum           L1 in an orthonormal world: biases, L0, loss, FVU, γ
              l1_mixing            how far latents lean on all others without a decoder bias
thresholds    jumprelu_threshold   where training ends; √λ without the estimator's bias
              jumprelu_loss        the objective at a threshold
              batchtopk_threshold  the threshold of a batch's k, and the error that it leaves
pairs         code_cost            the L1 objective of a vector that one latent codes
              pair_costs           two features that come together: apart, or one latent of both
              absorption_gain      what absorption gains, and up to which penalty: ABSORPTION_ENDS
              composed_losses      two features alone and together: truth, and a latent of the sum
              hedging_cosines      one latent for a parent and its children: principal components
scaling       zipf_constant        f50 · m of Zipf's law
              scaling_loss         the loss of m latents that keep the most frequent features

Conventions: the loss is E ‖x − x̂‖² + λ Σ f, sums over dimensions and latents, unit decoder rows;
t = λ/2. Features are orthonormal, and independent unless said; active ones are uniform on [0, 1]
(`l1`, `thresholds`, `scaling`) or 1 (`pairs`). Everything is float64 and a pure function of arrays
that broadcast. docs/science.md, Dictionaries, has the sources.
"""

from superpos.families.sae.theory.chance import chance, chance_found
from superpos.families.sae.theory.l1 import Optimum, l1_mixing, l1_optimum
from superpos.families.sae.theory.pairs import (
    ABSORPTION_ENDS,
    absorption_gain,
    code_cost,
    composed_losses,
    hedging_cosines,
    pair_costs,
)
from superpos.families.sae.theory.scaling import scaling_loss, zipf_constant
from superpos.families.sae.theory.thresholds import (
    batchtopk_threshold,
    jumprelu_loss,
    jumprelu_threshold,
)

__all__ = [
    "ABSORPTION_ENDS",
    "Optimum",
    "absorption_gain",
    "batchtopk_threshold",
    "chance",
    "chance_found",
    "code_cost",
    "composed_losses",
    "hedging_cosines",
    "jumprelu_loss",
    "jumprelu_threshold",
    "l1_mixing",
    "l1_optimum",
    "pair_costs",
    "scaling_loss",
    "zipf_constant",
]
