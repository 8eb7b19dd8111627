"""Figures of dictionaries, a module each: `applies(run)` and `draw(run)`."""
