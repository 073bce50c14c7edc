"""What edges ask of consumers over NATS besides where to go on, and how it is written: JSON.

An empty answer says that the database is away: nobody knows now.
"""

import json
import zlib
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any

from cryptography.fernet import InvalidToken

from flowlink.kernel import crypto
from flowlink.tracking.link_source import Misses, Names
from flowlink.tracking.link_table import LinkRow
from flowlink.tracking.nats_entries import read_link
from flowlink.tracking.senders import Asked
from flowlink.tracking.shipping import Standing

ANY = "flowlink.ask.*"
NAMED, STANDINGS = "flowlink.ask.named", "flowlink.ask.standings"
SENDER = "flowlink.ask.sender"
MISSES, UNRECORDED = "flowlink.ask.misses", "flowlink.ask.unrecorded"
DONE = b"ok"


def node_subject(number: int) -> str:
    """Where whoever has this number for click ids says so."""
    return f"flowlink.node.{number}"


def pack_names(names: Names) -> bytes:
    """Hosts and codes that are asked for."""
    return json.dumps(sorted(names)).encode()


def read_names(data: bytes) -> set[tuple[str, str]]:
    """Hosts and codes that are asked for."""
    return {(host, code) for host, code in json.loads(data)}


def pack_links(rows: Sequence[LinkRow]) -> bytes:
    """The links among them."""
    return zlib.compress(json.dumps(rows, default=str).encode(), 1)


def read_links(data: bytes) -> list[LinkRow]:
    """The links among them."""
    return [read_link(row) for row in json.loads(zlib.decompress(data))]


def pack_sender(asked: Asked) -> bytes:
    """What a request says of its sender; its key is nothing for the broker to know."""
    return crypto.encrypt(json.dumps(asked).encode())


def read_sender(data: bytes) -> Asked:
    """What a request says of its sender.

    :raises ValueError: sealed with a key that we do not have.
    """
    try:
        return Asked(*json.loads(crypto.decrypt(data)))
    except InvalidToken:
        raise ValueError("our keys do not open it") from None


def pack_refusal(refusal: str | None) -> bytes:
    """Why a sender may not speak; None when it may."""
    return json.dumps(refusal).encode()


def read_refusal(data: bytes) -> str | None:
    """Why a sender may not speak; None when it may."""
    refusal: str | None = json.loads(data)
    return refusal


def pack_misses(misses: Misses) -> bytes:
    """Addresses that led nowhere, counted."""
    found = [[day.isoformat(), reason, count] for (day, reason), count in misses.items()]
    return json.dumps(found).encode()


def read_misses(data: bytes) -> dict[tuple[date, str], int]:
    """Addresses that led nowhere, counted."""
    return {(date.fromisoformat(day), reason): count for day, reason, count in json.loads(data)}


def pack_unrecorded(*, day: date, edge: str, count: int, at: datetime) -> bytes:
    """Clicks that were sent on and could be kept nowhere."""
    return json.dumps([day.isoformat(), edge, count, at.isoformat()]).encode()


def read_unrecorded(data: bytes) -> tuple[date, str, int, datetime]:
    """Clicks that were sent on and could be kept nowhere."""
    day, edge, count, at = json.loads(data)
    return date.fromisoformat(day), edge, count, datetime.fromisoformat(at)


def pack_standings(standings: Sequence[Standing]) -> bytes:
    """How the journals of a machine stand."""
    found = [{"edge": one.edge, **one.values()} for one in standings]
    return json.dumps(found, default=datetime.isoformat).encode()


def read_standings(data: bytes) -> list[tuple[str, Mapping[str, Any]]]:
    """How the journals of a machine stand: each edge, and its columns in the table of edges."""
    found: list[tuple[str, Mapping[str, Any]]] = []
    for one in json.loads(data):
        oldest = one.pop("oldest_at")
        edge = one.pop("edge")
        found.append((edge, {**one, "oldest_at": oldest and datetime.fromisoformat(oldest)}))
    return found
