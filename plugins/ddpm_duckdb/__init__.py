"""Tables of a DuckDB file: the embedded database that needs no server."""
