"""`flowlink`, and the same as `python -m flowlink`."""

import gc
import sys

from flowlink.app.cli.parser import run


def main() -> None:
    """Run the command that the arguments name, and end with its exit code."""
    gc.disable()  # nothing that imports make is garbage; looking for it costs a fifth of the start
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
