"""NATS as an operator sees it: whether it is there, and what lies in it."""

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from flowlink.app.outcome import Failed
from flowlink.kernel import clock
from flowlink.kernel.settings import Settings

if TYPE_CHECKING:
    from flowlink.kernel.nats import Hub

LATE = timedelta(minutes=1)
_CONSUMER = "does `flowlink consumer` run?"


@dataclass(frozen=True, slots=True)
class Figures:
    """What waits in NATS, and the moment up to which it has all links, if it has."""

    parcels: int
    links_at: datetime | None


@contextmanager
def hub(chosen: Settings, *, name: str) -> "Generator[Hub]":
    """A connection for this while, made with the first call.

    :raises Failed: the client library is missing.
    """
    try:
        from flowlink.kernel.nats import Hub
    except ModuleNotFoundError as missing:
        raise Failed(
            f"NATS_URL is set and the library {missing.name} is missing: install nats-py"
        ) from None
    made = Hub(chosen, name=name)
    try:
        yield made
    finally:
        made.close()


def require(way: "Hub") -> None:
    """Make sure that NATS is there.

    :raises Failed: it is not, or does not let us in.
    """
    from flowlink.kernel.nats import Unreachable

    try:
        _ = way.message_bytes_max
    except Unreachable as problem:
        raise Failed(f"{problem} (NATS_URL)") from problem


def figures(way: "Hub") -> Figures | None:
    """For a monitoring system; None when NATS does not answer."""
    from flowlink.kernel.nats import Unreachable
    from flowlink.tracking import nats_links, nats_wire

    try:
        clicks = way.standing(nats_wire.CLICKS.name)
        links = way.standing(nats_links.LINKS.name)
        links_at = nats_links.published_at(way) if links else None
    except (Unreachable, nats_links.Behind):
        return None
    return Figures(clicks.messages if clicks else 0, links_at)


def findings(chosen: Settings) -> Iterator[tuple[bool, str]]:
    """What is well and what is not, one after the other.

    :raises Failed: NATS cannot be asked.
    """
    with hub(chosen, name="flowlink-doctor") as way:
        require(way)
        yield True, f"NATS answers at {way.servers}"
        yield from _streams(way)


def _streams(way: "Hub") -> Iterator[tuple[bool, str]]:
    from flowlink.kernel.nats import Unreachable
    from flowlink.tracking import nats_links, nats_wire
    from flowlink.tracking.nats_links import Behind

    try:
        for stream, what in ((nats_wire.CLICKS, "parcels wait"), (nats_links.LINKS, "messages")):
            found = way.standing(stream.name)
            if found is None:
                yield False, f"NATS has no stream {stream.name} yet: {_CONSUMER}"
                continue
            held = f"{found.messages} {what} ({found.size_bytes} bytes)"
            nodes = f"up to date on {found.current} of {found.replicas} nodes"
            yield found.current >= found.replicas, f"{stream.name}: {held}, {nodes}"
            if stream is nats_links.LINKS:
                yield _links(way)
    except (Unreachable, Behind) as problem:
        yield False, f"JetStream does not answer: {problem}"


def _links(way: "Hub") -> tuple[bool, str]:
    from flowlink.tracking import nats_links

    at = nats_links.published_at(way)
    if at is None:
        return False, f"no link table lies in NATS: {_CONSUMER}"
    late = clock.now() - at > LATE
    said = f"the link table in NATS is complete up to {at:%Y-%m-%d %H:%M:%S}"
    return not late, f"{said}: {_CONSUMER}" if late else said
