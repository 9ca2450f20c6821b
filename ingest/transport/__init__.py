"""HTTP to vendors: the client, its throttle, and the archive of bodies."""
