"""What an edge's journal holds: clicks; and at an edge without a database, postbacks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime

from flowlink.tracking import click_record, postback_record
from flowlink.tracking.clicks import Row
from flowlink.tracking.postbacks import Taken

Unreadable = (click_record.Unreadable, postback_record.Unreadable)


@dataclass(slots=True)
class Contents:
    """Records, read; each kind in its order."""

    clicks: list[Row] = field(default_factory=list)
    postbacks: list[Taken] = field(default_factory=list)
    unreadable: list[str] = field(default_factory=list)


def read(records: Iterable[bytes]) -> Contents:
    """All that can be read of them, and why not of the others."""
    found = Contents()
    for record in records:
        try:
            if postback_record.is_one(record):
                found.postbacks.append(postback_record.unpack(record))
            else:
                found.clicks.append(click_record.unpack(record))
        except Unreadable as problem:
            found.unreadable.append(str(problem))
    return found


def moment(record: bytes) -> datetime | None:
    """When it happened; None for what nobody can read."""
    try:
        if postback_record.is_one(record):
            return postback_record.moment(record)
        return click_record.moment(record)
    except Unreadable:
        return None
