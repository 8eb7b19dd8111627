"""The explorer: one HTML file in which runs are looked at, without a server and without a network.

document      what the file is made of: the library, the scripts, the data
page_data     what the data say of a run, as JSON
side_by_side  the table that compares several runs
parts         which weights, histories and snapshots fit, the best model of every setting first
pack          arrays as text
sweep_axes    the axes of the sweep, and the command that trains one model alone
layers        the form in which theory is drawn
palette       colours, those of the figures
page/         the page itself: HTML, CSS and JavaScript

It shows runs of any family; what a family adds is its `family.Explorer`.
"""

from superpos.report.document import BUDGET, page, write

__all__ = ["BUDGET", "page", "write"]
