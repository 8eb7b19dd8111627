"""What is benchmarked, and the baselines that train the same models."""
