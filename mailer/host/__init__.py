"""Running the product on this host: an embedded Valkey, worker processes, and all of it together from a Procfile."""
