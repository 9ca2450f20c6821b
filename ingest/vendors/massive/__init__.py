"""Massive (formerly Polygon)."""
