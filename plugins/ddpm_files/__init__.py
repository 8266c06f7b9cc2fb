"""Source `files`: files, folders, patterns and standard input."""
