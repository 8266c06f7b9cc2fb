"""SQL expressions from a configuration, run over Arrow batches by a DuckDB that is locked down."""
