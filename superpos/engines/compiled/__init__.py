"""What every fused CPU engine is made of: vectors, Philox draws, products, optimiser steps, the
kernel cache.
"""
