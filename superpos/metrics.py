"""What weight matrices of the toy models represent, and how much their features disturb each other.

`metrics.dimensionality(run.weights(0)["W"])` is D_i of every feature of model 0.
"""

from superpos.families.tms.metrics import *  # noqa: F403 - its names stand there, once
from superpos.families.tms.metrics import __all__ as __all__
