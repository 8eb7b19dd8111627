"""Sequences: languages whose law is known, as functions of random words."""
