"""Format `arrow`: Apache Arrow IPC files and streams, and Feather."""
