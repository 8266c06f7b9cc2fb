"""The engine: what moves records, and in which order they become durable."""
