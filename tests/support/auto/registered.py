"""Imported by a program that is to know autoencoders."""

import superpos
from auto import FAMILY

superpos.register(FAMILY)
