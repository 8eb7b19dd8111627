"""Exact floors of the languages: the law of the next token, entropies, and the best that models of
a kind can do.
"""
