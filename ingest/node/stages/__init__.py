"""The node's stage: its coverage, its missing history, and the gate to the next stage."""
