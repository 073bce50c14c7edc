"""The conversions of a batch: those that were known, those that begin, and every step they take."""

import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, and_, any_, literal, or_, select, text
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.tracking.attribution import Attribution
from flowlink.tracking.lifecycle import UNDATED, Moments, Step
from flowlink.tracking.models import Conversion, Status

_quoted = json.JSONEncoder().encode

# Rows travel as one JSON text: a tenth of the work of as many arrays as there are columns.
_INSERT = text("""
WITH begun AS (
INSERT INTO tracking_conversion (id, network_id, dedupe_key, txn_id, goal, click_id, link_id,
  partner_id, offer_id, offer_version, share_bps, status, amount_micro, currency, revision,
  occurred_at, changed_at, approved_at, rejected_at, updated_at)
SELECT id, network_id, dedupe_key, txn_id, goal, click_id, link_id, partner_id, offer_id,
  offer_version, share_bps, status, amount_micro, 'EUR', revision, occurred_at, changed_at,
  approved_at, rejected_at, :now
FROM json_to_recordset(CAST(:rows AS json)) AS new (id uuid, network_id uuid, dedupe_key text,
  txn_id text, goal text, click_id bigint, link_id uuid, partner_id uuid, offer_id uuid,
  offer_version int, share_bps int, status text, amount_micro bigint, revision int,
  occurred_at timestamptz, changed_at timestamptz, approved_at timestamptz,
  rejected_at timestamptz))
INSERT INTO tracking_conversion_revision (conversion_id, revision, status, amount_micro, at)
SELECT id, revision, status, amount_micro, :now FROM json_to_recordset(CAST(:steps AS json))
  AS new (id uuid, revision int, status text, amount_micro bigint)
""")

# One look into the index for each key: for a list of them, a plan made while the table was small
# reads all of it.
_STORED = text("""
SELECT found.id FROM json_array_elements_text(CAST(:keys AS json)) AS key
CROSS JOIN LATERAL (SELECT id FROM tracking_conversion WHERE dedupe_key = key LIMIT 1) AS found
""")


@dataclass(slots=True)
class Known:
    """A conversion as the batch sees it. One that begins gets its `id` when it is written."""

    id: UUID | None
    network_id: UUID
    key: str
    txn_id: str | None
    goal: str
    owner: Attribution
    offer_id: UUID
    offer_version: int
    share_bps: int
    status: Status
    amount_micro: int
    revision: int
    occurred_at: datetime
    said_micro: int | None = None
    moments: Moments = UNDATED


class Book:
    """What the batch knows: it starts with what was stored, and gathers what is to be."""

    def __init__(self, stored: Iterable[Conversion]) -> None:
        self._rows = {row.dedupe_key: row for row in stored}
        self.known = {key: _known(row) for key, row in self._rows.items()}
        self.new: list[Known] = []
        self.revisions: list[tuple[Known, int, Status, int]] = []

    def add(self, known: Known) -> Known:
        """A conversion that nobody knew."""
        self.known[known.key] = known
        self.new.append(known)
        self._keep(known)
        return known

    def move(self, known: Known, step: Step, now: datetime) -> None:
        """The next revision of one that was known."""
        known.revision += 1
        known.status, known.amount_micro, known.said_micro = step.status, step.amount_micro, None
        self._keep(known)
        row = self._rows.get(known.key)
        if row is not None:
            row.revision, row.updated_at = known.revision, now
            row.status, row.amount_micro, row.said_micro = known.status, known.amount_micro, None

    def date(self, known: Known, moments: Moments) -> None:
        """Of which moments the words about it are by now."""
        known.moments = moments
        row = self._rows.get(known.key)
        if row is not None:
            row.changed_at = moments.counted
            row.approved_at, row.rejected_at = moments.approved, moments.rejected

    def newest(
        self, network_id: UUID, owner: Attribution, goal: str, amount_micro: int | None
    ) -> Known | None:
        """The latest payment for the click and goal, of this amount if one is given."""
        found = [
            one
            for one in self._payments(network_id, owner, goal)
            if amount_micro in {None, one.amount_micro}
        ]
        # Of two at the same moment the one that was written later is newer.
        return max(reversed(found), key=lambda one: one.occurred_at, default=None)

    def has_begun(self, network_id: UUID, owner: Attribution, goal: str) -> bool:
        """Whether one payment for the click and goal is known that was not rejected."""
        found = self._payments(network_id, owner, goal)
        return any(one.status != Status.REJECTED for one in found)

    def _payments(self, network_id: UUID, owner: Attribution, goal: str) -> list[Known]:
        return [
            one
            for one in self.known.values()
            if (one.network_id, one.goal) == (network_id, goal) and _same_click(one, owner)
        ]

    def _keep(self, known: Known) -> None:
        self.revisions.append((known, known.revision, known.status, known.amount_micro))


def key(network_id: UUID, *parts: str) -> str:
    """The text under which an event is known for ever."""
    return f'["{network_id}", {", ".join(map(_quoted, parts))}]'


def payments(network_id: UUID, owner: Attribution) -> ColumnElement[bool]:
    """Every conversion of the network for this click."""
    mine = Conversion.network_id == network_id
    if owner.number is not None:
        return and_(mine, Conversion.click_id == owner.number)
    start = key(network_id, "click", owner.click)[:-1]
    named = Conversion.dedupe_key.startswith(start, autoescape=True)
    return and_(mine, Conversion.link_id == owner.link_id, Conversion.click_id.is_(None), named)


def open_book(
    session: Session, *, keys: Collection[str], others: Sequence[ColumnElement[bool]], locked: bool
) -> Book:
    """What is stored of the events of these keys, and of `others`, locked if they may change."""
    found = session.scalars(_STORED, {"keys": json.dumps(list(keys))}).all()
    wanted = [*others]
    if found:
        wanted.append(Conversion.id == any_(literal(found, ARRAY(Uuid))))
    if not wanted:
        return Book(())
    if locked:
        return Book(db.lock(session, Conversion, or_(*wanted)))
    return Book(session.scalars(select(Conversion).where(or_(*wanted))))


def write(session: Session, book: Book, *, now: datetime) -> None:
    """Store all that the batch has changed."""
    if not book.revisions:
        return
    if book.new:
        for known, made in zip(book.new, db.new_keys(session, len(book.new)), strict=True):
            known.id = made
    session.flush()  # those that were known
    steps = [
        {
            "id": known.id.hex if known.id else None,
            "revision": revision,
            "status": status,
            "amount_micro": amount,
        }
        for known, revision, status, amount in book.revisions
    ]
    given = {"rows": json.dumps(_rows(book.new)), "steps": json.dumps(steps), "now": now}
    session.execute(_INSERT, given)


def _rows(new: Sequence[Known]) -> list[dict[str, object]]:
    return [
        {
            "id": one.id.hex if one.id else None,
            "network_id": one.network_id.hex,
            "dedupe_key": one.key,
            "txn_id": one.txn_id,
            "goal": one.goal,
            "click_id": one.owner.number,
            "link_id": one.owner.link_id.hex,
            "partner_id": one.owner.partner_id.hex,
            "offer_id": one.offer_id.hex,
            "offer_version": one.offer_version,
            "share_bps": one.share_bps,
            "status": one.status,
            "amount_micro": one.amount_micro,
            "revision": one.revision,
            "occurred_at": one.occurred_at.isoformat(),
            "changed_at": _written(one.moments.counted),
            "approved_at": _written(one.moments.approved),
            "rejected_at": _written(one.moments.rejected),
        }
        for one in new
    ]


def _written(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _same_click(one: Known, owner: Attribution) -> bool:
    if owner.number is not None:
        return one.owner.number == owner.number
    return one.owner.number is None and one.owner.click == owner.click


def _known(row: Conversion) -> Known:
    return Known(
        id=row.id,
        network_id=row.network_id,
        key=row.dedupe_key,
        txn_id=row.txn_id,
        goal=row.goal,
        owner=Attribution(row.link_id, row.partner_id, row.offer_id, row.click_id, _click(row)),
        offer_id=row.offer_id,
        offer_version=row.offer_version,
        share_bps=row.share_bps,
        status=Status(row.status),
        amount_micro=row.amount_micro,
        revision=row.revision,
        occurred_at=row.occurred_at,
        said_micro=row.said_micro,
        moments=Moments(row.changed_at, row.approved_at, row.rejected_at),
    )


def _click(row: Conversion) -> str:
    """What tells its click from others of the link: an old-style one stands in its key alone."""
    if row.click_id is not None:
        return str(row.click_id)
    _, kind, name, *_ = json.loads(row.dedupe_key)
    return str(name) if kind == "click" else ""
