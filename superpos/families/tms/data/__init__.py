"""Inputs of the toy models."""
