"""The explorer: one HTML file in which a run is looked at, without a server and without a network.

document  what the file is made of: the library, the scripts, the data
content   what the data say of the run, as JSON
models    which weights, histories and snapshots fit, the best model of every setting first
graphs    where the features of a graph stand
pack      arrays as text
axes      the axes of the sweep, and the command that trains one model alone
layers    what theory knows of the run's settings
look      colours and thresholds, those of the figures
page/     the page itself: HTML, CSS and JavaScript
"""

from superpos.report.document import BUDGET, page, write

__all__ = ["BUDGET", "page", "write"]
