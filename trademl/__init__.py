"""TradeML: what the packages share (errors, files, clock, lake access, run workspace, reports)."""

__version__ = "0.1.0"
