"""Format `custom`: the user's own function, no package needed."""
