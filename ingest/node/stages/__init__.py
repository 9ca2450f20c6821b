"""How much of the node's stage is there, what is missing, and when the next stage opens."""
