"""Alpha Vantage."""
