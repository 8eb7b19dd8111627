"""What all figures share, and the registry that draws them."""
