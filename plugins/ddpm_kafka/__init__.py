"""Kafka: topics as source and as sink."""
