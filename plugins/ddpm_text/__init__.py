"""Formats `lines` and `raw`: text line by line, and documents as they are."""
