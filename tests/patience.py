"""How long tests wait for what must happen: no measure of speed, only the end of all hope."""

LONG_S = 90.0  # what a loaded machine may take for anything
