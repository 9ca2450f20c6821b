"""Where the project is, and data that may lie beside it."""

from pathlib import Path

PROJECT_ROOT = Path(__file__).resolve().parents[2]
SHARED_DATA = PROJECT_ROOT.parent / "shared" / "data"
"""Recorded answers of vendors and a real market; tests that need them are skipped without."""
