"""The sink `postgres`: tables of a Postgres server."""
