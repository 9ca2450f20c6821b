"""Filling leased tasks, every call paid for."""
