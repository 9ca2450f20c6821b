"""Reference files that a person or a market directory supplies."""
