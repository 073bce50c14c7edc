"""How a command ends: its value on standard output, its reason on standard error, an exit code."""

import sys
from argparse import Namespace
from collections.abc import Callable

from flowlink.kernel.postgres_programs import PostgresError


class Failed(Exception):
    """The command cannot do it; the message says why."""


def say(value: str) -> None:
    """Print what was asked for."""
    sys.stdout.write(f"{value}\n")
    sys.stdout.flush()


def note(remark: str) -> None:
    """Print what a person should know, but a script should not read."""
    sys.stderr.write(f"{remark}\n")
    sys.stderr.flush()


def of(command: Callable[[Namespace], int | None], arguments: Namespace) -> int:
    """Run a command; a foreseeable refusal becomes one line and exit code 1."""
    try:
        return command(arguments) or 0
    except (Failed, PostgresError) as refusal:
        reason = str(refusal)
    except KeyboardInterrupt:
        return 130
    except BrokenPipeError:
        sys.stderr.close()
        return 1
    note(f"flowlink: {reason}")
    return 1
