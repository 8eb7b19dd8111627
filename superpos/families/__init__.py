"""Kinds of models, one folder each."""
