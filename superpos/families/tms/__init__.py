"""The toy models of superposition of Elhage et al. 2022."""
