"""The bundled plugin for Avro."""
