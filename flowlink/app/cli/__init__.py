"""The command line. `parser` is light; each command imports what it needs when it is called."""
