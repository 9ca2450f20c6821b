"""Training data: the panel, ranks and sample weights, and the GREEN gate before them."""
