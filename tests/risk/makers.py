"""Makers of traffic that looks like people, and of traffic that does not."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.tracking import clicks
from flowlink.tracking.clicks import Visit
from flowlink.tracking.models import Link, Reason
from tests.factories import Person, make_partner
from tests.payouts.click_makers import link_to, make_offer

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC)
BROWSER = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/131.0.0.0 Safari/537.36"


def visit(
    session: Session,
    link: Link,
    moments: Sequence[datetime],
    *,
    reason: Reason = Reason.VALID,
    addresses: Sequence[str] = (),
    agents: Sequence[str] = (BROWSER,),
    referrer: str = "",
) -> Sequence[int]:
    """One click at each moment, turn about from these addresses with these browsers."""
    visits = [
        Visit(
            link.code,
            at,
            addresses[nth % len(addresses)] if addresses else f"81.2.{nth // 200}.{nth % 200 + 1}",
            agents[nth % len(agents)],
            referrer,
            reason,
        )
        for nth, at in enumerate(moments)
    ]
    return [one.number for one in clicks.store(session, visits=visits) if one is not None]


def every(gap: timedelta, count: int, begin: datetime = NOON) -> list[datetime]:
    return [begin + gap * nth for nth in range(count)]


def machines(session: Session, link: Link, count: int = 60) -> Sequence[int]:
    """A program in one data center, as regular as a clock."""
    addresses = [f"5.9.1.{n}" for n in range(1, 251)]
    return visit(session, link, every(timedelta(seconds=30), count), addresses=addresses)


def people(session: Session, link: Link, count: int = 60) -> Sequence[int]:
    """An audience: from everywhere, with all kinds of browsers, at odd moments."""
    moments, at = [], NOON
    for nth in range(count):
        at += timedelta(seconds=1 + (nth * nth * 7919) % 97 * ((nth * 31) % 5))
        moments.append(at)
    return visit(
        session,
        link,
        moments,
        addresses=[f"{81 + n % 7}.{n * 37 % 251}.{n * 91 % 253}.7" for n in range(count)],
        agents=[f"{BROWSER} Build/{n}" for n in range(count)],
        referrer="www.youtube.com",
    )


def committed(budget: str = "100.00") -> tuple[Person, Link]:
    """A partner with a link of an offer that pays 10 cents a click."""
    with db.write() as session:
        ada = make_partner(session)
        return ada, link_to(session, ada, make_offer(session, budget=budget))
