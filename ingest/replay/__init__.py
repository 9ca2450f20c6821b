"""A market directory: made by the simulator, served over loopback in the vendors' wire formats."""
