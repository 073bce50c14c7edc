"""Issuing papers: a number, the facts, the file, all at once or not at all."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db
from flowlink.kernel.errors import NotFound, Refused
from flowlink.papers import drawing, parties
from flowlink.papers.drawing import Sheet
from flowlink.papers.models import Company, Kind, Paper, Series
from flowlink.papers.parties import Party
from flowlink.papers.vat import Taxed

PREFIXES = {Kind.SELF_BILLING: "SB", Kind.INVOICE: "INV", Kind.CREDIT_NOTE: "CN"}


class UnknownPaper(NotFound):
    message = "There is no such paper."


class CreditedAlready(Refused):
    message = "This invoice was taken back already."


@dataclass(frozen=True, slots=True)
class Draft:
    """A paper before it has its number. `facts` is kept beside the file, for programs."""

    kind: Kind
    owner: UUID
    subject: str
    source: str
    lang: str
    amounts: Taxed
    facts: Mapping[str, Any]
    credits_id: UUID | None = None


def issue(
    session: Session, draft: Draft, *, sheet: Callable[[str, date], Sheet], now: datetime
) -> Paper:
    """Issue a paper once: the same source again gives the first one.

    The number comes from the counter of its series and year, whose row stays locked until the
    transaction ends, so that a failed attempt leaves no gap. `sheet` draws it, given its number
    and day.
    """
    series = f"{PREFIXES[draft.kind]}-{now.astimezone(UTC).year}"
    session.execute(insert(Series).values(name=series, last=0).on_conflict_do_nothing())
    [counter] = db.lock(session, Series, Series.name == series)
    issued = session.scalar(select(Paper).where(Paper.source == draft.source))
    if issued is not None:
        return issued
    counter.last += 1
    day = now.astimezone(UTC).date()
    file = drawing.pdf(sheet(f"{series}-{counter.last:05}", day), at=now)
    paper = Paper(
        kind=draft.kind,
        series=series,
        sequence=counter.last,
        owner=draft.owner,
        subject=draft.subject,
        source=draft.source,
        credits_id=draft.credits_id,
        lang=draft.lang,
        issued_on=day,
        issued_at=now,
        currency=draft.amounts.total.currency,
        net_minor=draft.amounts.net.cents,
        vat_minor=draft.amounts.vat.cents,
        total_minor=draft.amounts.total.cents,
        facts=dict(draft.facts),
        sha256=sha256(file).hexdigest(),
        pdf=file,
    )
    session.add(paper)
    session.flush()
    return paper


def company(session: Session) -> Party | None:
    """Who we are on paper now; None until the operator has said it."""
    row = session.scalar(select(Company).order_by(Company.id.desc()).limit(1))
    return None if row is None else Party.of(row.party)


def keep_company(
    session: Session, *, party: Party, actor: str, now: datetime, ip: str = ""
) -> None:
    """From now on we are this on paper. Papers that were issued stay as they are.

    :raises parties.MissingDetail: :raises parties.UnknownCountry: :raises parties.BadVatNumber:
    """
    session.add(Company(party=parties.checked(party).kept(), actor=actor, created_at=now))
    audit.record(session, actor, "changed company details", "company", now, ip)
