"""A simulated market, and a server that plays the vendors; ingest meets it over HTTP alone."""
