"""A Kafka and a Postgres on this machine, for trying things out and for tests: found, or started, on loopback only."""
