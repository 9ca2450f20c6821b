"""Two-layer portfolios: clusters, caps, regimes, flattening."""
