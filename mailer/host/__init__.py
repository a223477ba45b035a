"""Run the product on this host: an embedded Valkey, worker processes, and everything together from a Procfile."""
