"""A market directory served over loopback HTTP, as the vendors would."""
