"""Gradient-boosted models and their governance: dataset, CPCV, PBO, DSR, registry."""
