"""What a user configures: the base of every plugin's options, and how options are checked."""
