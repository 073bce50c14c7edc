"""Clicks one by one, newest first: a partner's or a link's, all or of one kind; and what they met.

No index is needed: hours and days without clicks are skipped by their counts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from sqlalchemy import ColumnElement, func, or_, select
from sqlalchemy.orm import Session

from flowlink.tracking import clickid, countries
from flowlink.tracking.clickid import ClickRef
from flowlink.tracking.devices import Device
from flowlink.tracking.models import Agent, Click, Link, Postback, Reason, Referrer, Result
from flowlink.tracking.rollups import Archive, HourCount, LinkDayCount

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
SPANS_MAX = 400
UNBOOKED = (Result.QUARANTINED, Result.ORPHAN, Result.REJECTED, Result.RECEIVED)
POSTBACK_DAYS = 90
POSTBACKS_SHOWN = 10


class Kind(StrEnum):
    """Which clicks a list shows."""

    ALL = ""
    VALID = "valid"
    BOTS = "bots"
    OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Line:
    """One click as lists and files show it."""

    token: str
    number: int
    at: datetime
    code: str
    reason: Reason
    country: str
    device: str
    referrer: str
    agent: str


def lines(
    session: Session,
    *,
    partner: int,
    link: int | None = None,
    kind: Kind = Kind.ALL,
    before: int | None = None,
    limit: int,
) -> list[Line]:
    """Clicks of the partner with this number, on one of their links or on all."""
    found: list[Line] = []
    spans = _hours(session, partner, before) if link is None else _days(session, link, before)
    for low, high in spans:
        within = [Click.partner == partner, Click.id >= low, Click.id < min(high, before or high)]
        if link is not None:
            within.append(Click.link == link)
        found += _read(session, [*within, *_of_kind(kind)], limit - len(found))
        if len(found) == limit:
            break
    return found


def one(session: Session, *, number: int) -> Line | None:
    """One click, found on its day by its number alone; None while its row is not there."""
    found = _read(session, [Click.id == number], 1)
    return found[0] if found else None


def ref_of(session: Session, *, number: int) -> ClickRef | None:
    """What the token of a stored click says, by the click's number."""
    row = session.execute(
        select(Click.id, Click.link, Click.partner).where(Click.id == number)
    ).first()
    return None if row is None else ClickRef(*row)


def is_archived(session: Session, *, at: datetime) -> bool:
    """Whether clicks of that moment's day were put away."""
    day = at.astimezone(UTC).date()
    return session.scalar(select(Archive.day).where(Archive.day == day).limit(1)) is not None


def unbooked(session: Session, *, token: str, at: datetime) -> Sequence[Postback]:
    """Postbacks that name this click and made no conversion, the oldest first.

    Those of the ninety days after the click are looked through: it takes a moment in a large inbox.
    """
    word = token.lower()
    return session.scalars(
        select(Postback)
        .where(
            Postback.received_at.between(at, at + timedelta(days=POSTBACK_DAYS)),
            Postback.result.in_(UNBOOKED),
            or_(
                func.strpos(func.lower(Postback.query), word) > 0,
                func.strpos(func.lower(func.encode(Postback.body, "escape")), word) > 0,
            ),
        )
        .order_by(Postback.id)
        .limit(POSTBACKS_SHOWN)
    ).all()


Span = tuple[int, int]


def _hours(session: Session, partner: int, before: int | None) -> Iterator[Span]:
    """The hours in which the partner has clicks, the latest first."""
    rows = select(HourCount.hour).where(HourCount.partner == partner)
    if before is not None:
        rows = rows.where(HourCount.hour <= clickid.at(before))
    rows = rows.order_by(HourCount.hour.desc()).limit(SPANS_MAX)
    for hour in session.scalars(rows):
        yield clickid.floor(hour), clickid.floor(hour + HOUR)


def _days(session: Session, link: int, before: int | None) -> Iterator[Span]:
    """The days on which the link has clicks that are still here, the latest first."""
    put_away = select(Archive.day)
    rows = select(LinkDayCount.day).where(
        LinkDayCount.link == link, LinkDayCount.day.not_in(put_away)
    )
    if before is not None:
        rows = rows.where(LinkDayCount.day <= clickid.at(before).date())
    for day in session.scalars(rows.order_by(LinkDayCount.day.desc()).limit(SPANS_MAX)):
        start = datetime(day.year, day.month, day.day, tzinfo=UTC)
        yield clickid.floor(start), clickid.floor(start + DAY)


def _of_kind(kind: Kind) -> list[ColumnElement[bool]]:
    if kind == Kind.VALID:
        return [Click.reason == Reason.VALID]
    if kind == Kind.BOTS:
        return [Click.reason == Reason.BOT]
    return [Click.reason.not_in([Reason.VALID, Reason.BOT])] if kind == Kind.OTHERS else []


def _read(session: Session, within: list[ColumnElement[bool]], limit: int) -> list[Line]:
    rows = (
        select(Click, Link.code, Agent, Referrer.host)
        .join(Link, Link.number == Click.link)
        .join(Agent, Agent.id == Click.agent)
        .join(Referrer, Referrer.id == Click.referrer)
        .where(*within)
        .order_by(Click.id.desc())
        .limit(limit)
    )
    return [
        Line(
            token=clickid.token(ClickRef(click.id, click.link, click.partner)),
            number=click.id,
            at=clickid.at(click.id),
            code=code,
            reason=Reason(click.reason),
            country=countries.code(click.country),
            device=Device(agent.device).name.lower(),
            referrer=host,
            agent=agent.text,
        )
        for click, code, agent, host in session.execute(rows)
    ]
