"""What figures, measures and columns compute of transformers, without matplotlib."""
