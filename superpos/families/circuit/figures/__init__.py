"""Figures of circuits."""
