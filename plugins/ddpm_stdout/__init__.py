"""Sink `stdout`: rows to standard output."""
