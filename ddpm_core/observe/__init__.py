"""What a run says of itself: the log now, metrics and health later."""
