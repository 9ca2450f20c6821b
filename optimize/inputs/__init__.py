"""Inputs of a sleeve: the gated foundation, returns, candidates, the pinned model."""
