"""Figures of the toy models."""
