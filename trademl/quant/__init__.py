"""Pure numerics on arrays: no I/O, no clock, no randomness."""
