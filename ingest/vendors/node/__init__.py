"""What the data node itself finds out and lands."""
