"""From a sweep to a finished run folder."""
