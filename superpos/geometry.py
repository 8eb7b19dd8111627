"""Which shapes the features of the toy models form: feature graphs, polytopes, labels in words.

`geometry.describe(run.tensor("W"))` names what the features of every model form.
"""

from superpos.families.tms.geometry import *  # noqa: F403 - its names stand there, once
from superpos.families.tms.geometry import __all__ as __all__
