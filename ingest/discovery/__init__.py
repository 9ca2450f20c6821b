"""Discovery: layered scanners ask the screener; what they find becomes the candidates of a run."""
