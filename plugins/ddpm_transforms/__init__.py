"""Processors that change rows by SQL expressions."""
