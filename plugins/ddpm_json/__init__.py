"""The format `json`: NDJSON, one array, one document, objects in a row."""
