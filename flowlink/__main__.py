"""`flowlink`, and the same as `python -m flowlink`."""

import sys

from flowlink.app.cli.parser import run


def main() -> None:
    """Run the command that the arguments name, and end with its exit code."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
