"""Selection, synthesis, portfolio optimisation, execution and backtests: the alpha cycle."""
