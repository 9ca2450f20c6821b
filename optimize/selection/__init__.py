"""Which candidates become winners, and why the others do not."""
