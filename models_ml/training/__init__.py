"""Gated training of one model."""
