"""Self-billing invoices and credit notes of payouts (directive 2006/112/EC, art. 224).

An invoice is issued for each withdrawal that arrived, once the partner has said who they are and
agreed, and the operator has said who we are. What the partner got is its total: tax is in it.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, aliased

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db, ids
from flowlink.kernel.errors import Invalid
from flowlink.papers import queries as papers, service, vat
from flowlink.papers.drawing import Sheet, Table
from flowlink.papers.models import Kind, Paper
from flowlink.papers.parties import Party
from flowlink.papers.service import Draft
from flowlink.papers.vat import Case, Taxed
from flowlink.partners.ids import PartnerId
from flowlink.payouts import ids as payout_ids, tax
from flowlink.payouts.models import State, Withdrawal
from flowlink.payouts.tax_models import TaxProfile
from flowlink.web import i18n
from flowlink.web.i18n import mark

PREFIX = "doc"
BATCH = 100
_SUBJECT = "withdrawal:"
_CAME_BACK = mark("The payment came back.")

_TITLES = {
    Kind.SELF_BILLING: mark("Self-billing invoice %(number)s"),
    Kind.CREDIT_NOTE: mark("Credit note %(number)s"),
}


class ReasonMissing(Invalid):
    message = "Please say why this invoice is taken back."
    field = "reason"


def subject(withdrawal_id: UUID) -> str:
    """What the invoices of a withdrawal are about."""
    return f"{_SUBJECT}{withdrawal_id}"


def public(paper: Paper) -> str:
    """`doc_…`, as people and scripts see it."""
    return ids.public(PREFIX, paper.id)


def waiting(
    session: Session, *, after: UUID | None = None, limit: int = BATCH
) -> Sequence[Withdrawal]:
    """Withdrawals that arrived, have no standing invoice and could have one, the oldest first."""
    latest = (
        select(TaxProfile.mandate_version)
        .where(TaxProfile.partner_id == Withdrawal.partner_id)
        .order_by(TaxProfile.id.desc())
        .limit(1)
        .scalar_subquery()
    )
    wanted = (
        select(Withdrawal)
        .where(Withdrawal.state == State.SETTLED, latest == tax.MANDATE, ~_invoiced())
        .order_by(Withdrawal.id)
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(Withdrawal.id > after)
    return session.scalars(wanted).all()


def waiting_after(session: Session, after: UUID | None) -> Sequence[UUID]:
    """The next of `waiting`, by their keys."""
    return [each.id for each in waiting(session, after=after)]


def returned(session: Session, *, after: UUID | None = None, limit: int = BATCH) -> Sequence[Paper]:
    """Standing invoices whose money came back after all."""
    credit = aliased(Paper)
    about = func.concat(_SUBJECT, Withdrawal.id)
    wanted = (
        select(Paper)
        .join(Withdrawal, Paper.subject == about)
        .outerjoin(credit, credit.credits_id == Paper.id)
        .where(Withdrawal.state != State.SETTLED)
        .where(Paper.kind == Kind.SELF_BILLING, credit.id.is_(None))
        .order_by(Paper.id)
        .limit(limit)
    )
    if after is not None:
        wanted = wanted.where(Paper.id > after)
    return session.scalars(wanted).all()


def returned_after(session: Session, after: UUID | None) -> Sequence[UUID]:
    """The next of `returned`, by their keys."""
    return [each.id for each in returned(session, after=after)]


def issue(session: Session, *, withdrawal_id: UUID, now: datetime) -> Paper | None:
    """The invoice of a withdrawal that arrived; None if it did not, or while details are missing.

    The withdrawal stays locked, so that its money cannot come back meanwhile. Its invoices are
    counted by those taken back, so that a second one is only written after that.
    """
    [withdrawal] = db.lock(session, Withdrawal, Withdrawal.id == withdrawal_id)
    if withdrawal.state != State.SETTLED:
        return None
    customer = service.company(session)
    profile = tax.current(session, PartnerId(withdrawal.partner_id))
    if customer is None or profile is None or profile.mandate != tax.MANDATE:
        return None
    treatment = vat.of_supply(profile.party, customer, on=now.date())
    about = subject(withdrawal.id)
    draft = Draft(
        kind=Kind.SELF_BILLING,
        owner=withdrawal.partner_id,
        subject=about,
        source=f"{about}:invoice:{papers.credited_about(session, about) + 1}",
        lang=identity.lang_of(session, UserId(withdrawal.requester_id)),
        amounts=vat.split(withdrawal.amount, treatment.rate_bps),
        facts={
            "supplier": profile.party.kept(),
            "customer": customer.kept(),
            "vat_case": treatment.case.value,
            "vat_rate_bps": treatment.rate_bps,
            "withdrawal": payout_ids.public(withdrawal.id),
            "paid_on": withdrawal.updated_at.date().isoformat(),
            "reference": withdrawal.reference,
            "mandate": profile.mandate,
        },
    )
    return service.issue(session, draft, sheet=_drawn(draft), now=now)


def credit(
    session: Session, *, paper: Paper, reason: str, actor: str, now: datetime, ip: str = ""
) -> Paper:
    """Take an invoice back in full. If its payout still stands, the next run writes a new one.

    :raises ReasonMissing: :raises service.CreditedAlready:
    :raises service.UnknownPaper: a credit note cannot be credited.
    """
    if not reason.strip():
        raise ReasonMissing
    if paper.kind != Kind.SELF_BILLING:
        raise service.UnknownPaper
    db.lock(session, Withdrawal, Withdrawal.id == UUID(paper.subject.removeprefix(_SUBJECT)))
    if papers.credits_of(session, [paper]):
        raise service.CreditedAlready
    draft = Draft(
        kind=Kind.CREDIT_NOTE,
        owner=paper.owner,
        subject=paper.subject,
        source=f"credit:{paper.id}",
        lang=paper.lang,
        amounts=Taxed(paper.net, paper.vat, paper.total),
        facts={**paper.facts, "credits": paper.number, "reason": reason.strip()},
        credits_id=paper.id,
    )
    note = service.issue(session, draft, sheet=_drawn(draft), now=now)
    audit.record(session, actor, "credited invoice", paper.number, now, ip, reason=reason.strip())
    return note


def take_back(session: Session, *, paper_id: UUID, now: datetime) -> bool:
    """Credit the invoice of a payout that came back, unless somebody just did."""
    paper = session.get_one(Paper, paper_id)
    try:
        credit(
            session,
            paper=paper,
            reason=i18n.translate(paper.lang, _CAME_BACK),
            actor="job:papers_issue",
            now=now,
        )
    except service.CreditedAlready:
        return False
    return True


def lacks_invoice() -> ColumnElement[bool]:
    """The withdrawal arrived and no standing invoice says so, whatever the cause."""
    return and_(Withdrawal.state == State.SETTLED, ~_invoiced())


def _invoiced() -> ColumnElement[bool]:
    """The withdrawal has an invoice that stands."""
    invoice, note = aliased(Paper), aliased(Paper)
    taken_back = select(note.id).where(note.credits_id == invoice.id).exists()
    about = func.concat(_SUBJECT, Withdrawal.id)
    standing = select(invoice.id).where(invoice.subject == about, ~taken_back)
    return standing.where(invoice.kind == Kind.SELF_BILLING).exists()


def _drawn(draft: Draft) -> Callable[[str, date], Sheet]:
    return partial(_sheet, draft)


def _sheet(draft: Draft, number: str, day: date) -> Sheet:
    facts, lang = draft.facts, draft.lang
    say = partial(i18n.translate, lang)
    net, due, total = (
        i18n.money(amount, lang)
        for amount in (draft.amounts.net, draft.amounts.vat, draft.amounts.total)
    )
    rate = i18n.percent(facts["vat_rate_bps"], lang)
    paid_on = date.fromisoformat(facts["paid_on"])
    return Sheet(
        lang=lang,
        title=say(_TITLES[draft.kind], {"number": number}),
        facts=_heading(facts, lang, day),
        sender_label=say("Supplier"),
        sender=Party.of(facts["supplier"]).lines(lang),
        receiver_label=say("Customer"),
        receiver=Party.of(facts["customer"]).lines(lang),
        tables=[
            Table(
                "",
                [say("Service"), say("Paid on"), say("Amount")],
                [[say("Promotion of offers"), i18n.day(paid_on, lang), net]],
                numbers=[2],
            )
        ],
        totals=[
            (say("Net"), net),
            (say("VAT %(rate)s", {"rate": rate}), due),
            (say("Total incl. VAT"), total),
        ],
        notes=_notes(draft.kind, facts, lang),
        page_label=say("Page"),
    )


def _heading(facts: Mapping[str, Any], lang: str, day: date) -> list[tuple[str, str]]:
    say = partial(i18n.translate, lang)
    lines = [(say("Date"), i18n.day(day, lang)), (say("Payout"), facts["withdrawal"])]
    if facts["reference"]:
        lines.append((say("Payment reference"), facts["reference"]))
    if "credits" in facts:
        lines += [(say("Takes back"), facts["credits"]), (say("Reason"), facts["reason"])]
    return lines


def _notes(kind: Kind, facts: Mapping[str, Any], lang: str) -> list[str]:
    say = partial(i18n.translate, lang)
    # A credit note is treated as an invoice (directive 2006/112/EC, art. 219): it says so, too.
    notes = [say("Self-billing: issued by the customer in the name of the supplier.")]
    if kind == Kind.SELF_BILLING:
        notes += [say("Paid. Nothing is due.")]
    mention = vat.MENTIONS[Case(facts["vat_case"])]
    return [*notes, say(mention)] if mention else notes
