"""What the page shows of toy models."""
