"""Explanation methods, and what their answers are worth where the truth is known."""
