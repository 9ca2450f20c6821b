"""What a sleeve reads: the gated foundation, returns, candidates, the pinned model."""
