"""The toy models of superposition of Elhage et al. 2022: tied and untied, with linear and ReLU hidden layers."""
