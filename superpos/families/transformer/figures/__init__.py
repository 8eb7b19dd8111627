"""Figures of transformers, one module each."""
