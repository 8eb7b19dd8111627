"""A user's own functions, and their source as text."""
