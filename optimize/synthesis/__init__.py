"""Returns of winners as long-only streams, and the test that signs survive."""
