"""Postbacks tried from the shell, and clicks as a file."""

from argparse import Namespace
from datetime import UTC, date, datetime, timedelta
from urllib.parse import urlencode

from flowlink.app import access, clicks_export, opening
from flowlink.app.outcome import Failed, note, say
from flowlink.kernel import clock, db
from flowlink.tracking import clickid, network_changes, networks, postbacks, presets
from flowlink.tracking.models import Network, Result


def try_postback(arguments: Namespace) -> int:
    """Print what a postback with these fields would do; exit code 1 when it would be refused.

    Fields have the network's own names, or ours (subid, amount, currency, status, txn_id, goal).
    """
    with opening.database(arguments), db.read() as session:
        network = networks.named(session, arguments.network)
        request = _request(network, dict(arguments.fields))
        preview = postbacks.preview(session, request=request, now=clock.now())
        say(f"result: {preview.result.value}")
        if preview.reason:
            say(f"reason: {preview.reason}")
        if preview.claim:
            say(f"understood: {preview.claim}")
        if preview.attribution:
            say(f"belongs to: {preview.attribution}")
    return 0 if preview.result in {Result.OK, Result.DUPLICATE} else 1


def list_presets(arguments: Namespace) -> None:
    """Print the networks whose way of speaking is public, with their sources."""
    for preset in presets.every():
        say(f"{preset.name:<12} {preset.title}, {preset.source_url}")


def add_network(arguments: Namespace) -> None:
    """Add a network from a preset and print the postback URL to give to it."""
    with opening.database(arguments), db.write() as session:
        network = network_changes.from_preset(
            session,
            preset=arguments.preset,
            name=arguments.name or "",
            actor=access.ACTOR,
            now=clock.now(),
        )
        url = networks.url_of(network)
    say(url)


def export_clicks(arguments: Namespace) -> None:
    """Write one row a click; whole days in UTC, both ends included."""
    if arguments.out.suffix not in clicks_export.FORMS:
        raise Failed(f"name a file that ends in {' or '.join(clicks_export.FORMS)}")
    since = _day(arguments.since) if arguments.since else clickid.EPOCH
    until = _day(arguments.until) + timedelta(days=1) if arguments.until else None
    with opening.database(arguments):
        try:
            count = clicks_export.write(arguments.out, since=since, until=until)
        except OSError as error:
            raise Failed(f"{arguments.out} cannot be written: {error.strerror}") from None
    note(f"{count} clicks written to {arguments.out}")


def _request(network: Network, fields: dict[str, str]) -> postbacks.PostbackIn:
    named = {network.fields.get(name, name): value for name, value in fields.items()}
    query = networks.signed_query(network, urlencode(named))
    address = networks.some_address(network)
    return postbacks.PostbackIn(method="GET", query=query, address=address)


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Failed(f"{text!r} is not a day such as 2026-11-21") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
