"""FRED and ALFRED."""
