"""Execution of leased tasks, every call paid for."""
