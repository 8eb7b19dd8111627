"""Figures of explanations. They show what is kept of a run; `superpos explain` makes it."""
