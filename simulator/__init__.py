"""A simulated market, and a replay server of the vendors' APIs; ingest meets it over HTTP alone."""
