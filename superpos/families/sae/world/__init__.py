"""Where the activations of sparse autoencoders come from."""
