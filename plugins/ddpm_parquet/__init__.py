"""Format `parquet`: Apache Parquet files."""
