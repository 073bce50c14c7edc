"""Postbacks read again: one, all that wait for a word, or all that match; each by whoever asked.

Reading again is what `postbacks.process` does at any time: what is settled stays as it is, and
nothing is ever booked twice. Many are read in batches by a job, so that no request waits for them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, events, ids
from flowlink.kernel.errors import Refused
from flowlink.tracking import postbacks, senders
from flowlink.tracking.ids import POSTBACK, PostbackId
from flowlink.tracking.models import Network, Postback, Result
from flowlink.tracking.postbacks import PostbackResult, UnknownPostback

BATCH = 200
WAITING = (Result.RECEIVED, Result.ORPHAN, Result.QUARANTINED)


class NothingToReplay(Refused):
    message = "This postback is settled: reading it again would change nothing."


class NoSender(Refused):
    message = "Nobody knows who sent this: its key was wrong. It cannot be read again."


@dataclass(frozen=True, slots=True)
class Chosen:
    """Which of the waiting postbacks are meant; what is empty matches all."""

    network_id: UUID | None = None
    result: str = ""
    reason: str = ""
    word: str = ""

    def where(self) -> list[ColumnElement[bool]]:
        """The same as conditions."""
        conditions: list[ColumnElement[bool]] = [Postback.result.in_(WAITING)]
        if self.network_id is not None:
            conditions.append(Postback.network_id == self.network_id)
        for column, value in (
            (Postback.result, self.result),
            (Postback.reason, self.reason),
            (Postback.word, self.word),
        ):
            if value:
                conditions.append(column == value)
        return conditions

    def payload(self) -> dict[str, str]:
        """The same as an event carries it."""
        network = str(self.network_id) if self.network_id else ""
        return {
            "network_id": network,
            "result": self.result,
            "reason": self.reason,
            "word": self.word,
        }

    @classmethod
    def of(cls, payload: dict[str, str]) -> "Chosen":
        """What an event carried."""
        network = payload.get("network_id", "")
        return cls(
            network_id=UUID(network) if network else None,
            result=payload.get("result", ""),
            reason=payload.get("reason", ""),
            word=payload.get("word", ""),
        )


def one(
    session: Session, *, postback_id: PostbackId, actor: str, now: datetime, ip: str = ""
) -> PostbackResult:
    """Read one postback again. One that was turned away is judged anew: lists of addresses change.

    :raises UnknownPostback: :raises NothingToReplay: :raises NoSender:
    """
    found = db.lock(session, Postback, Postback.id == postback_id)
    if not found:
        raise UnknownPostback
    postback = found[0]
    if postback.result in {Result.OK, Result.DUPLICATE}:
        raise NothingToReplay
    if postback.result == Result.REJECTED:
        _judge_again(session, postback)
    result = postbacks.process(session, postback_id=postback_id, now=now)
    audit.record(
        session,
        actor,
        "postback.replayed",
        ids.public(POSTBACK, postback_id),
        now,
        ip,
        result=result.result.value,
    )
    return result


def ask(session: Session, *, chosen: Chosen, actor: str, now: datetime, ip: str = "") -> int:
    """Have all that match read again by the job; returns how many wait now."""
    waiting = session.scalar(select(func.count()).select_from(Postback).where(*chosen.where()))
    events.emit(session, "postbacks.replay_asked", chosen.payload())
    audit.record(
        session, actor, "postbacks.replay_asked", "", now, ip, count=waiting, **chosen.payload()
    )
    return waiting or 0


def batch(
    session: Session, *, chosen: Chosen, after: PostbackId | None, until: datetime
) -> Sequence[PostbackId]:
    """The next of those that match, oldest first; none received after `until`."""
    rows = select(Postback.id).where(*chosen.where(), Postback.received_at <= until)
    if after is not None:
        rows = rows.where(Postback.id > after)
    return [PostbackId(key) for key in session.scalars(rows.order_by(Postback.id).limit(BATCH))]


def _judge_again(session: Session, postback: Postback) -> None:
    network = session.get(Network, postback.network_id) if postback.network_id else None
    if network is None or not postback.key_ok:
        raise NoSender
    why_not = senders.refusal(network, postback.address)
    if why_not is not None:
        raise NothingToReplay
    postback.result, postback.reason = Result.RECEIVED, None
