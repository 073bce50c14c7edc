"""What this program is."""

from argparse import Namespace
from importlib.metadata import version as installed_version

from flowlink.app.outcome import say


def version(arguments: Namespace) -> None:
    """Print the version."""
    say(f"flowlink {installed_version('flowlink')}")
