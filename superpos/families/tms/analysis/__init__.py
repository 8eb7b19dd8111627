"""What figures and measures know of trained models, without matplotlib."""
