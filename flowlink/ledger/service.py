"""Posting: the one way in which money moves."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel.errors import FlowlinkError, Invalid, Refused
from flowlink.ledger.accounts import Account, AccountKind, account
from flowlink.ledger.entries import Code, Entry, EntryKind, Transfer

__all__ = [
    "Account",
    "AccountKind",
    "Code",
    "Entry",
    "EntryKind",
    "InsufficientFunds",
    "MalformedEntry",
    "Outcome",
    "Posted",
    "SourceReused",
    "Status",
    "Transfer",
    "UnknownAccount",
    "account",
    "post",
    "post_many",
]

POST = text(
    """
    SELECT status, entry_id FROM ledger_post(
      :at, :kinds ::text[], :owners ::text[], :currencies ::text[], :sources ::text[],
      :entry_kinds ::text[], :effective ::timestamptz[], :refs ::jsonb[],
      :entries ::int[], :debits ::int[], :credits ::int[], :amounts ::bigint[], :codes ::text[])
    """
)


class Status(StrEnum):
    """What became of one entry."""

    CREATED = "created"
    REPLAY = "replay"
    REUSED = "reused"
    NO_FUNDS = "no_funds"
    UNKNOWN_ACCOUNT = "unknown_account"
    MALFORMED = "malformed"


class InsufficientFunds(Refused):
    message = "There is not enough money for this."


class SourceReused(Refused):
    message = "This has been booked before, with other amounts."


class UnknownAccount(Invalid):
    message = "There is no such account."


class MalformedEntry(Invalid):
    message = "This cannot be booked."


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one of many entries; `entry_id` names what is posted, by us or before."""

    entry_id: UUID | None
    status: Status


@dataclass(frozen=True, slots=True)
class Posted:
    """An entry that is posted: now, or in the case of a replay, before."""

    entry_id: UUID
    replay: bool


_REFUSALS: dict[Status, type[FlowlinkError]] = {
    Status.REUSED: SourceReused,
    Status.NO_FUNDS: InsufficientFunds,
    Status.UNKNOWN_ACCOUNT: UnknownAccount,
    Status.MALFORMED: MalformedEntry,
}


def post(session: Session, entry: Entry, now: datetime) -> Posted:
    """Post one entry, wholly or not at all. A replay changes nothing.

    :raises InsufficientFunds: a balance would pass its floor or ceiling.
    :raises SourceReused: the source is taken by an entry of another kind or other transfers.
    :raises UnknownAccount: no such currency, or an owner where none belongs (or the reverse).
    :raises MalformedEntry: no source, no transfers, an amount that is not positive, one account
        on both sides, two currencies, or kinds that the code may not join.
    """
    (outcome,) = post_many(session, [entry], now)
    if outcome.status in _REFUSALS:
        raise _REFUSALS[outcome.status]
    assert outcome.entry_id is not None
    return Posted(entry_id=outcome.entry_id, replay=outcome.status is Status.REPLAY)


def post_many(session: Session, entries: Sequence[Entry], now: datetime) -> list[Outcome]:
    """Post many entries in one statement, each wholly or not at all, as if one after another.

    One refused entry does not hinder the rest: look at the outcomes, which come in the order
    of `entries`. Accounts are opened on first use.
    """
    if not entries:
        return []
    rows = session.execute(POST, _arguments(entries, now)).all()
    return [Outcome(entry_id=entry_id, status=Status(status)) for status, entry_id in rows]


def _arguments(entries: Sequence[Entry], now: datetime) -> dict[str, Any]:
    """The entries as columns; transfers name accounts by their (one-based) place."""
    accounts: dict[Account, int] = {}
    places, debits, credits_, amounts, codes = [], [], [], [], []
    for place, entry in enumerate(entries, 1):
        for line in entry.transfers:
            places.append(place)
            debits.append(accounts.setdefault(line.debit, len(accounts) + 1))
            credits_.append(accounts.setdefault(line.credit, len(accounts) + 1))
            amounts.append(line.amount.micro)
            codes.append(line.code)
    return {
        "at": now,
        "kinds": _texts(account.kind for account in accounts),
        "owners": _texts(account.owner for account in accounts),
        "currencies": _texts(account.currency for account in accounts),
        "sources": _texts(entry.source for entry in entries),
        "entry_kinds": _texts(entry.kind for entry in entries),
        "effective": _texts(entry.effective_at.isoformat() for entry in entries),
        "refs": _texts(json.dumps(entry.ref) if entry.ref else "{}" for entry in entries),
        "entries": _numbers(places),
        "debits": _numbers(debits),
        "credits": _numbers(credits_),
        "amounts": _numbers(amounts),
        "codes": _texts(codes),
    }


def _texts(values: Iterable[str]) -> str:
    """An array as PostgreSQL reads it: the driver takes longer to write one than to post it."""
    parts = list(values)
    whole = "".join(parts)
    if '"' in whole or "\\" in whole:
        parts = [part.replace("\\", "\\\\").replace('"', '\\"') for part in parts]
    return '{"' + '","'.join(parts) + '"}' if parts else "{}"


def _numbers(values: Iterable[int]) -> str:
    return "{" + ",".join(map(str, values)) + "}"
