"""What a model is trained on, and the gates before it."""
