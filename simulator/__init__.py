"""A simulated market, and a server that plays the vendors with it; ingest meets it over HTTP alone."""
