"""Letting people and programs in."""

from argparse import Namespace

from flowlink.app import access, opening
from flowlink.app.outcome import say


def sign_in_link(arguments: Namespace) -> None:
    """Print a one-time URL that signs this address in."""
    with opening.database(arguments):
        say(access.sign_in_link(email=arguments.email, hat=arguments.hat))


def api_key(arguments: Namespace) -> None:
    """Print a new key; it is shown this once."""
    scopes = None if arguments.scopes is None else arguments.scopes.split(",")
    with opening.database(arguments):
        key = access.api_key(operator=arguments.operator, partner=arguments.partner, scopes=scopes)
        say(key)


def postback_url(arguments: Namespace) -> None:
    """Print the URL template that a network's own settings page asks for."""
    from flowlink.kernel import db
    from flowlink.tracking import networks

    with opening.database(arguments), db.read() as session:
        say(networks.postback_url(session, name=arguments.network))
