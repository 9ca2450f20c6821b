"""Selection, synthesis, portfolio optimization, execution and backtests: the alpha cycle."""
