"""Schema changes, one file each, in one line of descent."""
