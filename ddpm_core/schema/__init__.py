"""The rules for types: what a column becomes, and what fits into it."""
