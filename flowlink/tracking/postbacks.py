"""Postbacks: kept as they come, then understood; and what they make of conversions.

Two steps, so that nothing is lost: `keep` stores the raw request (its key taken out) and tells
whether its sender may speak; `process` reads it through the network's map and moves the
conversion. `process` may run again at any time: replays, late clicks and new words use it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from flowlink.kernel import db, events
from flowlink.kernel.errors import NotFound
from flowlink.tracking import claims, postback_store, senders, settling
from flowlink.tracking.attribution import Attribution
from flowlink.tracking.claims import Claim, Unreadable
from flowlink.tracking.ids import PostbackId
from flowlink.tracking.lifecycle import Step
from flowlink.tracking.models import Conversion, Network, Postback, Result
from flowlink.tracking.postback_store import Kept
from flowlink.tracking.senders import Sender
from flowlink.tracking.settling import Outcome, Payer, Told

WRONG_KEY = senders.WRONG_KEY
FAILED = "failed"
REMATCH_DAYS = 7
STRANGER_DAYS = 30
_REMATCH_BATCH = 500
_FORGET_BATCH = 5_000
_SETTLED = (Result.OK, Result.DUPLICATE, Result.REJECTED)


class UnknownPostback(NotFound):
    message = "There is no such postback."


@dataclass(frozen=True, slots=True)
class PostbackIn:
    """A network's request as it came."""

    method: str
    query: str
    content_type: str = ""
    body: bytes = b""
    address: str = ""


@dataclass(frozen=True, slots=True)
class Taken:
    """A postback and when an edge without a database took it."""

    request: PostbackIn
    at: datetime


@dataclass(frozen=True, slots=True)
class PostbackResult:
    """What became of it."""

    result: Result
    reason: str | None
    postback_id: PostbackId | None = None
    conversion_id: UUID | None = None

    def answer(self) -> dict[str, str]:
        """The JSON that the network reads (spec 3)."""
        return {"result": self.result.value} | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True, slots=True)
class Preview:
    """What a postback would do: for operators who set up a network."""

    result: Result
    reason: str | None
    network: Network | None
    fields: dict[str, list[str]]
    claim: Claim | None
    attribution: Attribution | None
    conversion: Conversion | None
    step: Step | None


def receive(session: Session, *, request: PostbackIn, now: datetime) -> PostbackResult:
    """Keep and understand in one transaction: for callers that cannot lose the request."""
    (result,) = receive_all(session, requests=[request], now=now)
    return result


def receive_all(
    session: Session,
    *,
    requests: Sequence[PostbackIn],
    now: datetime,
    keep_stranger: Callable[[str], bool] = lambda _: True,
) -> list[PostbackResult]:
    """The same of many, as if one had come after the other, with a few queries for all.

    `keep_stranger` is asked, with their address, whether one more of a stranger's is to be kept.
    """
    given = [claims.fields_of(one.query, one.content_type, one.body) for one in requests]
    judged = _judged(session, requests, given, now)
    outcomes = _outcomes(session, judged, given, now)
    rows = [
        _kept(request, sender, outcome, now)
        for request, sender, outcome in zip(requests, judged, outcomes, strict=True)
    ]
    wanted = [
        index
        for index, (request, sender) in enumerate(zip(requests, judged, strict=True))
        if not sender.stranger or keep_stranger(request.address)
    ]
    keys = postback_store.insert(session, [rows[index] for index in wanted], now=now)
    stored = dict(zip(wanted, keys, strict=True))
    return [
        PostbackResult(one.result, one.reason, stored.get(index), one.conversion_id)
        for index, one in enumerate(outcomes)
    ]


def keep(session: Session, *, request: PostbackIn, now: datetime) -> PostbackId:
    """Store the request before anything is made of it, with the verdict on its sender."""
    fields = claims.fields_of(request.query, request.content_type, request.body)
    sender = _sender(session, fields, request.address, now)
    (key,) = postback_store.insert(session, [_unread(request, sender, now)], now=now)
    return key


def keep_all(session: Session, *, taken: Sequence[Taken], now: datetime) -> None:
    """The same of many that an edge without a database has taken. They are read soon, in order."""
    if not taken:
        return
    requests = [one.request for one in taken]
    given = [claims.fields_of(one.query, one.content_type, one.body) for one in requests]
    judged = _judged(session, requests, given, now)
    rows = [_unread(one.request, sender, one.at) for one, sender in zip(taken, judged, strict=True)]
    keys = postback_store.insert(session, rows, now=now)
    events.emit(session, "postbacks.kept", {"until": str(keys[-1])})


def process(session: Session, *, postback_id: PostbackId, now: datetime) -> PostbackResult:
    """Understand a kept postback and move its conversion; one that is settled stays as it is.

    :raises UnknownPostback:
    """
    found = process_all(session, postback_ids=[postback_id], now=now)
    if not found:
        raise UnknownPostback
    return found[0]


def process_all(
    session: Session, *, postback_ids: Sequence[PostbackId], now: datetime
) -> list[PostbackResult]:
    """The same of many, in the order in which they came; those that do not exist are left out."""
    found = db.lock(session, Postback, Postback.id.in_(postback_ids))
    waiting_ones = [one for one in found if one.result not in _SETTLED]
    mine = Network.id.in_({one.network_id for one in waiting_ones})
    payers = {one.id: Payer.of(one) for one in session.scalars(select(Network).where(mine))}
    assert all(one.network_id in payers for one in waiting_ones), "strangers' are rejected"
    readings = [_reading(payers[one.network_id], one) for one in waiting_ones if one.network_id]
    for postback, outcome in zip(waiting_ones, _settled(session, readings, now), strict=True):
        postback.attempts += 1
        postback.handled_at = now
        postback.result, postback.reason = outcome.result, outcome.reason
        postback.word = outcome.word or postback.word  # what it waited for stays to be seen
        postback.conversion_id, postback.revision = outcome.conversion_id, outcome.revision
    session.flush()
    return [_result(one) for one in found]


def mark_failed(session: Session, *, postback_id: PostbackId, now: datetime) -> None:
    """Say of a postback that reading it failed by a fault of ours; it waits on, and is shown."""
    for postback in db.lock(session, Postback, Postback.id == postback_id):
        if postback.result not in _SETTLED:
            postback.attempts += 1
            postback.reason, postback.handled_at = FAILED, now


def forget_strangers(session: Session, *, now: datetime) -> int:
    """Drop some of what strangers sent long ago, oldest first; returns how many, 0 at the end."""
    oldest = select(Postback.id).where(~Postback.key_ok).order_by(Postback.id).limit(_FORGET_BATCH)
    old = Postback.received_at < now - timedelta(days=STRANGER_DAYS)
    gone = delete(Postback).where(Postback.id.in_(oldest), old).returning(Postback.id)
    return len(session.scalars(gone).all())


def preview(session: Session, *, request: PostbackIn, now: datetime) -> Preview:
    """What `receive` would do with this request, without doing it."""
    fields = claims.fields_of(request.query, request.content_type, request.body)
    sender = _sender(session, fields, request.address, now)
    if sender.network is None or sender.refusal is not None:
        shown = {name: values for name, values in fields.items() if name != "key"}
        nothing = (None, None, None, None)
        return Preview(Result.REJECTED, sender.refusal, sender.network, shown, *nothing)
    return preview_of(session, network=sender.network, fields=fields, at=now)


def preview_of(
    session: Session, *, network: Network, fields: dict[str, list[str]], at: datetime
) -> Preview:
    """The same of fields that the network says for certain; `at` is when it happened."""
    shown = {name: values for name, values in fields.items() if name != "key"}
    try:
        payer = Payer.of(network)
        claim = payer.reader.read(fields)
    except Unreadable as error:
        return Preview(Result.QUARANTINED, error.reason, network, shown, None, None, None, None)
    one, conversion, step = settling.look(session, Told(payer, claim, at))
    return Preview(step.result, step.reason, network, shown, claim, one.owner, conversion, step)


def waiting(
    session: Session, *, now: datetime, after: PostbackId | None = None
) -> list[PostbackId]:
    """Orphans of the last days and what was never understood, oldest first, a batch at a time."""
    rows = (
        select(Postback.id)
        .where(
            Postback.result.in_([Result.ORPHAN, Result.RECEIVED]),
            Postback.received_at > now - timedelta(days=REMATCH_DAYS),
        )
        .order_by(Postback.id)
        .limit(_REMATCH_BATCH)
    )
    if after is not None:
        rows = rows.where(Postback.id > after)
    return [PostbackId(key) for key in session.scalars(rows)]


def _judged(
    session: Session,
    requests: Sequence[PostbackIn],
    given: Sequence[dict[str, list[str]]],
    now: datetime,
) -> list[Sender]:
    """Who sends each of the requests, whose fields are given beside them."""
    asked = [
        senders.asked(fields, one.address) for fields, one in zip(given, requests, strict=True)
    ]
    verdicts = senders.judge(session, asked, now=now)
    return [verdicts[one] for one in asked]


def _sender(session: Session, fields: dict[str, list[str]], address: str, now: datetime) -> Sender:
    asked = senders.asked(fields, address)
    return senders.judge(session, [asked], now=now)[asked]


def unread(session: Session, *, until: PostbackId) -> list[PostbackId]:
    """What was kept and never read until this one, oldest first, a batch at a time."""
    rows = (
        select(Postback.id)
        .where(Postback.result == Result.RECEIVED, Postback.reason.is_(None), Postback.id <= until)
        .order_by(Postback.id)
        .limit(_REMATCH_BATCH)
    )
    return [PostbackId(key) for key in session.scalars(rows)]


def _unread(request: PostbackIn, sender: Sender, at: datetime) -> Kept:
    refused = Result.REJECTED if sender.refusal else Result.RECEIVED
    return _kept(request, sender, Outcome(refused, sender.refusal), at)


def _kept(request: PostbackIn, sender: Sender, outcome: Outcome, at: datetime) -> Kept:
    """The request as it is stored: without its key, and with nothing of a stranger's body, which
    may be large, or hold a key where we do not look for it."""
    wrong = sender.refusal == WRONG_KEY
    return Kept(
        method=request.method,
        query=claims.without_key(request.query).replace("\x00", "%00"),
        content_type=request.content_type.replace("\x00", ""),
        body=b"" if wrong else claims.body_without_key(request.content_type, request.body),
        address=request.address,
        network_id=sender.network.id if sender.network else None,
        key_ok=not sender.stranger,
        outcome=outcome,
        received_at=at,
    )


def _outcomes(
    session: Session,
    judged: Sequence[Sender],
    given: Sequence[dict[str, list[str]]],
    now: datetime,
) -> list[Outcome]:
    known: dict[Network, Payer] = {}
    readings: list[Told | Outcome] = []
    for sender, fields in zip(judged, given, strict=True):
        network = sender.network
        if network is None or sender.refusal is not None:
            readings.append(Outcome(Result.REJECTED, sender.refusal))
            continue
        payer = known.get(network) or known.setdefault(network, Payer.of(network))
        readings.append(_read(payer, fields, now, None))
    return _settled(session, readings, now)


def _reading(payer: Payer, postback: Postback) -> Told | Outcome:
    fields = claims.fields_of(postback.query, postback.content_type, postback.body)
    return _read(payer, fields, postback.at, postback.happened_at)


def _read(
    payer: Payer, fields: dict[str, list[str]], at: datetime, happened_at: datetime | None
) -> Told | Outcome:
    try:
        return Told(payer, payer.reader.read(fields), at, happened_at)
    except Unreadable as error:
        return Outcome(Result.QUARANTINED, error.reason, word=error.word)


def _settled(session: Session, readings: Sequence[Told | Outcome], now: datetime) -> list[Outcome]:
    told = [one for one in readings if isinstance(one, Told)]
    settled = iter(settling.settle(session, told, now=now))
    return [one if isinstance(one, Outcome) else next(settled) for one in readings]


def _result(postback: Postback) -> PostbackResult:
    return PostbackResult(
        result=Result(postback.result),
        reason=postback.reason,
        postback_id=PostbackId(postback.id),
        conversion_id=postback.conversion_id,
    )
