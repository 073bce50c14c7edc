"""“A conversion is missing”: a partner's case, and a person's one answer to it.

| from | to | by | money |
|---|---|---|---|
| - | open | the partner, with what they know | - |
| open | accepted | an operator, with an amount and an answer | revenue -> available, held, debt |
| open | declined | an operator, with the reason | - |
| open | withdrawn | the partner | - |

A case keeps what we knew when it was opened: the partner's claim is judged by that. The support
desk hears of it by the events `case.opened` and `case.decided` and can decide through `accept` and
`decline` as the operator's page does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.identity.models import User
from flowlink.kernel import audit, db, events, ids, settings
from flowlink.kernel.errors import Invalid, LimitReached, NotFound, Refused
from flowlink.kernel.money import BadAmount, Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.notify import service as notify
from flowlink.partners import ids as partner_ids, own_affairs, queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import purses
from flowlink.payouts.case_models import Case, CaseState
from flowlink.payouts.ids import CASE

OPEN_MAX = 20
OLDEST = timedelta(days=366)
TEXT_MAX = 2000
ONCE_MAX = 64


class UnknownCase(NotFound):
    message = "There is no such case."


class CaseDecided(Refused):
    message = "This case was decided already."


class CaseAnswer(Invalid):
    message = "Please answer in a sentence: the partner reads it."
    field = "answer"


class CaseStory(Invalid):
    message = "Please say what is missing and how you know."
    field = "story"


class CaseDay(Invalid):
    message = "The day lies in the last twelve months, not in the future."
    field = "happened_on"


class TooManyCases(LimitReached):
    message = "You have many open cases. Please wait for their answers."


@dataclass(frozen=True)
class Claim:
    """What the partner says: how much it was worth to them, of which link or click, and when."""

    story: str
    amount: Money
    happened_on: date
    link_id: UUID | None = None
    click: str = ""
    order_reference: str = ""


@dataclass(frozen=True)
class CaseLine:
    """A case as the operator sees it."""

    case: Case
    email: str


def open_case(
    session: Session,
    *,
    partner_id: PartnerId,
    claim: Claim,
    trail: dict[str, Any],
    now: datetime,
    once: str = "",
) -> Case:
    """Open a case with what we know (`trail`). The same `once` again returns the one it opened.

    :raises CaseStory: :raises CaseDay: :raises BadAmount: not above zero. :raises TooManyCases:
    """
    _check(claim, now)
    db.advisory_lock(session, f"partner-cases:{partner_id}")
    if once and (before := _once(session, partner_id, once)) is not None:
        return before
    mine = Case.partner_id == partner_id, Case.state == CaseState.OPEN
    if (session.scalar(select(func.count()).where(*mine)) or 0) >= OPEN_MAX:
        raise TooManyCases
    case = Case(
        partner_id=partner_id,
        link_id=claim.link_id,
        click=claim.click.strip(),
        happened_on=claim.happened_on,
        claimed_micro=claim.amount.micro,
        currency=claim.amount.currency,
        order_reference=claim.order_reference.strip(),
        story=claim.story.strip()[:TEXT_MAX],
        trail=trail,
        state=CaseState.OPEN,
        answer="",
        once=once[:ONCE_MAX] or None,
        created_at=now,
    )
    session.add(case)
    session.flush()  # the event names it
    events.emit(session, "case.opened", _payload(case))
    return case


def accept(
    session: Session,
    *,
    case_id: UUID,
    amount: Money,
    answer: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Case:
    """The partner is right: give them `amount`, once, out of our own part.

    :raises CaseDecided: :raises CaseAnswer: :raises BadAmount: :raises UnknownCase:
    :raises OwnAffair: `actor` is the partner.
    """
    if amount.micro <= 0:
        raise BadAmount
    case = _open(session, case_id, answer=answer)
    partner_id = PartnerId(case.partner_id)
    own_affairs.refuse(session, partner_id=partner_id, actor=actor)
    purse = purses.locked(session, partner_id=partner_id, currency=case.currency)
    revenue = ledger.account(AccountKind.REVENUE, currency=case.currency)
    entry = Entry(
        source=f"case:{case.id}",
        kind=EntryKind.CASE,
        transfers=tuple(
            Transfer(revenue, purse.account(kind), part, code)
            for kind, part, code in purses.codes(purse.give(amount), Code.ADJUSTMENT)
        ),
        effective_at=now,
        ref={"partner": partner_ids.public(partner_id), "case": ids.public(CASE, case.id)},
    )
    case.entry_id = ledger.post(session, entry, now).entry_id
    case.granted_micro = amount.micro
    _decide(session, case, CaseState.ACCEPTED, answer, actor=actor, now=now, ip=ip)
    return case


def decline(
    session: Session, *, case_id: UUID, answer: str, actor: str, now: datetime, ip: str = ""
) -> Case:
    """It does not move money, and says why. Once.

    :raises CaseDecided: :raises CaseAnswer: :raises UnknownCase:
    """
    case = _open(session, case_id, answer=answer)
    _decide(session, case, CaseState.DECLINED, answer, actor=actor, now=now, ip=ip)
    return case


def withdraw(session: Session, *, case_id: UUID, partner_id: PartnerId, now: datetime) -> Case:
    """The partner has found it, or gives up.

    :raises CaseDecided: :raises UnknownCase: also for somebody else's.
    """
    case = _open(session, case_id)
    if case.partner_id != partner_id:
        raise UnknownCase
    case.state, case.decided_by, case.decided_at = CaseState.WITHDRAWN, "partner", now
    session.flush()
    events.emit(session, "case.decided", _payload(case))
    return case


def get(session: Session, case_id: UUID) -> CaseLine:
    """:raises UnknownCase:"""
    found = session.execute(_lines().where(Case.id == case_id)).first()
    if found is None:
        raise UnknownCase
    return CaseLine(found[0], found[1])


def cases_of(
    session: Session, partner_id: PartnerId, *, before: UUID | None = None, limit: int = 50
) -> Sequence[Case]:
    """A partner's cases, the newest first."""
    rows = select(Case).where(Case.partner_id == partner_id)
    if before is not None:
        rows = rows.where(Case.id < before)
    return session.scalars(rows.order_by(Case.id.desc()).limit(limit)).all()


def queue(
    session: Session, *, state: str = "", before: UUID | None = None, limit: int = 50
) -> Sequence[CaseLine]:
    """Everybody's cases: those that are open with the longest wait first, others newest first."""
    rows = _lines()
    if state:
        rows = rows.where(Case.state == state)
    oldest_first = state == CaseState.OPEN
    if before is not None:
        rows = rows.where(Case.id > before if oldest_first else Case.id < before)
    order = Case.id if oldest_first else Case.id.desc()
    return [CaseLine(row[0], row[1]) for row in session.execute(rows.order_by(order).limit(limit))]


def open_count(session: Session) -> int:
    """How many wait for a person."""
    return session.scalar(select(func.count()).where(Case.state == CaseState.OPEN)) or 0


def _lines() -> Select[Case, str]:
    return (
        select(Case, User.email)
        .join(Partner, Partner.id == Case.partner_id)
        .join(User, User.id == Partner.user_id)
    )


def _check(claim: Claim, now: datetime) -> None:
    if not claim.story.strip():
        raise CaseStory
    if claim.amount.micro <= 0:
        raise BadAmount
    today = now.date()
    if not today - OLDEST <= claim.happened_on <= today:
        raise CaseDay


def _once(session: Session, partner_id: PartnerId, once: str) -> Case | None:
    mine = Case.partner_id == partner_id, Case.once == once[:ONCE_MAX]
    return session.scalars(select(Case).where(*mine)).one_or_none()


def _open(session: Session, case_id: UUID, *, answer: str | None = None) -> Case:
    """The open case, locked; whoever decides has an `answer`."""
    if answer is not None and not answer.strip():
        raise CaseAnswer
    found = db.lock(session, Case, Case.id == case_id)
    if not found:
        raise UnknownCase
    if found[0].state != CaseState.OPEN:
        raise CaseDecided
    return found[0]


def _decide(
    session: Session,
    case: Case,
    state: CaseState,
    answer: str,
    *,
    actor: str,
    now: datetime,
    ip: str,
) -> None:
    case.state, case.answer = state, answer.strip()[:TEXT_MAX]
    case.decided_by, case.decided_at = actor, now
    session.flush()
    events.emit(session, "case.decided", _payload(case))
    facts = {"granted": str(case.granted or ""), "answer": case.answer}
    audit.record(session, actor, f"{state} case", ids.public(CASE, case.id), now, ip, **facts)
    user_id = UserId(partners.get(session, PartnerId(case.partner_id)).user_id)
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template="payouts/email/case_decided",
        lang=identity.lang_of(session, user_id),
        context={
            "answer": case.answer,
            "accepted": "yes" if state == CaseState.ACCEPTED else "",
            "micro": str(case.granted_micro or 0),
            "currency": case.currency,
            "url": f"{settings.current().url}/partners/cases/{ids.public(CASE, case.id)}",
        },
        source=f"case:{case.id}:decided",
        now=now,
    )


def _payload(case: Case) -> dict[str, str]:
    return {
        "case_id": str(case.id),
        "partner_id": str(case.partner_id),
        "state": str(case.state),
    }
