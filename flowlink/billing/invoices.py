"""Invoices of payments and credit notes of what went back, numbered without a gap."""

from collections.abc import Callable, Sequence
from datetime import date, datetime
from functools import partial
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, case, cast, func, select
from sqlalchemy.orm import Session

from flowlink.billing import ids, queries, tax
from flowlink.billing.models import PLAN, Dispute, Grant, Paid, Payment, Resource
from flowlink.identity import queries as identity
from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.papers import service, vat
from flowlink.papers.drawing import Sheet, Table
from flowlink.papers.models import Kind, Paper
from flowlink.papers.parties import Party
from flowlink.papers.service import Draft
from flowlink.papers.vat import Taxed
from flowlink.teams import queries as teams
from flowlink.teams.models import Team
from flowlink.web import i18n
from flowlink.web.i18n import mark

BATCH = 100
PREFIX = "doc"

_TITLES = {
    Kind.INVOICE: mark("Invoice %(number)s"),
    Kind.CREDIT_NOTE: mark("Credit note %(number)s"),
}
NAMES = {
    "ram": mark("Memory"),
    "cpu": mark("Processor"),
    "traffic": mark("Traffic"),
    "storage": mark("Storage"),
}


def subject(payment_id: UUID) -> str:
    """What the papers of a payment are about."""
    return f"payment:{payment_id}"


def waiting(session: Session, *, limit: int = BATCH) -> Sequence[UUID]:
    """Payments of which an invoice or a credit note is missing, the oldest first."""
    about = func.concat("payment:", Payment.id)
    written = (
        select(func.coalesce(func.sum(_signed()), 0)).where(Paper.subject == about)
    ).scalar_subquery()
    invoiced = select(Paper.id).where(Paper.subject == about, Paper.kind == Kind.INVOICE)
    kept = Payment.amount_minor - case(
        (Payment.dispute == Dispute.LOST, Payment.amount_minor), else_=Payment.refunded_minor
    )
    wanted = (
        select(Payment.id)
        .where(Payment.status == Paid.PAID)
        .where(~invoiced.exists() | (cast(written, BigInteger) != kept))
        .order_by(Payment.paid_at, Payment.id)
        .limit(limit)
    )
    return session.scalars(wanted).all() if service.company(session) else []


def issue(session: Session, *, payment_id: UUID, now: datetime) -> int:
    """Write what is missing of a payment's papers; how many were written.

    None while the operator has not said who we are. Again writes nothing.
    """
    [payment] = db.lock(session, Payment, Payment.id == payment_id)
    seller = service.company(session)
    if seller is None or payment.status != Paid.PAID:
        return 0
    about = subject(payment.id)
    papers = session.scalars(select(Paper).where(Paper.subject == about)).all()
    invoice = next((paper for paper in papers if paper.kind == Kind.INVOICE), None)
    written = 0
    if invoice is None:
        invoice = _invoice(session, payment, seller, now=now)
        written += 1
    gone = payment.amount_minor if payment.dispute == Dispute.LOST else payment.refunded_minor
    credited = sum(paper.total_minor for paper in papers if paper.kind == Kind.CREDIT_NOTE)
    if gone > credited:
        _credit(session, payment, invoice, from_minor=credited, to_minor=gone, now=now)
        written += 1
    return written


def _signed() -> Any:
    return case((Paper.kind == Kind.CREDIT_NOTE, -Paper.total_minor), else_=Paper.total_minor)


def _invoice(session: Session, payment: Payment, seller: Party, *, now: datetime) -> Paper:
    team = session.get_one(Team, payment.team_id)
    resource = session.get_one(Resource, payment.resource_id)
    granted = session.scalar(select(Grant.plan).where(Grant.payment_id == payment.id))
    customer = queries.details(session, team.id) or Party(team.name, "", "", "", "")
    assert payment.starts_at is not None
    assert payment.ends_at is not None
    assert payment.paid_at is not None
    draft = Draft(
        kind=Kind.INVOICE,
        owner=team.id,
        subject=subject(payment.id),
        source=f"invoice:{payment.id}",
        lang=identity.lang_of(session, teams.owner_of(session, team.id)),
        amounts=vat.split(payment.amount, payment.vat_rate_bps),
        facts={
            "supplier": seller.kept(),
            "customer": customer.kept(),
            "payment": ids.payment(payment.id),
            "kind": resource.kind,
            "plan": resource.plan if granted is None else granted,
            "quantity": payment.quantity,
            "from": payment.starts_at.date().isoformat(),
            "to": payment.ends_at.date().isoformat(),
            "paid_on": payment.paid_at.date().isoformat(),
            "vat_case": payment.vat_case,
            "vat_rate_bps": payment.vat_rate_bps,
        },
    )
    return service.issue(session, draft, sheet=_drawn(draft), now=now)


def _credit(
    session: Session,
    payment: Payment,
    invoice: Paper,
    *,
    from_minor: int,
    to_minor: int,
    now: datetime,
) -> Paper:
    """The part that went back since the last note; net and tax of all parts add up to the whole."""
    before, after = (
        vat.split(Money.from_cents(minor, payment.currency), payment.vat_rate_bps)
        for minor in (from_minor, to_minor)
    )
    amounts = Taxed(after.net - before.net, after.vat - before.vat, after.total - before.total)
    draft = Draft(
        kind=Kind.CREDIT_NOTE,
        owner=payment.team_id,
        subject=subject(payment.id),
        source=f"credit:{payment.id}:{to_minor}",
        lang=invoice.lang,
        amounts=amounts,
        facts={**invoice.facts, "credits": invoice.number, "reason": payment.refund_reason},
        credits_id=invoice.id,
    )
    return service.issue(session, draft, sheet=_drawn(draft), now=now)


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
    return Sheet(
        lang=lang,
        title=say(_TITLES[draft.kind], {"number": number}),
        facts=_heading(draft, day),
        sender_label=say("Supplier"),
        sender=Party.of(facts["supplier"]).lines(lang),
        receiver_label=say("Customer"),
        receiver=Party.of(facts["customer"]).lines(lang),
        tables=[
            Table(
                "",
                [say("Service"), say("Quantity"), say("Period"), say("Amount")],
                [[_what(facts, lang), str(facts["quantity"]), _period(facts, lang), net]],
                numbers=[1, 3],
            )
        ],
        totals=[
            (say("Net"), net),
            (say("VAT %(rate)s", {"rate": rate}), due),
            (say("Total incl. VAT"), total),
        ],
        notes=_notes(draft),
        page_label=say("Page"),
    )


def _what(facts: Any, lang: str) -> str:
    if facts["kind"] == PLAN:
        plan = str(facts["plan"]).capitalize()
        return i18n.translate(lang, mark("Plan %(name)s"), {"name": plan})
    name = i18n.translate(lang, NAMES[facts["kind"]])
    return i18n.translate(lang, mark("Add-on: %(name)s"), {"name": name})


def _period(facts: Any, lang: str) -> str:
    since, until = (i18n.day(date.fromisoformat(facts[key]), lang) for key in ("from", "to"))
    return f"{since} - {until}"


def _heading(draft: Draft, day: date) -> list[tuple[str, str]]:
    facts, lang = draft.facts, draft.lang
    say = partial(i18n.translate, lang)
    paid = i18n.day(date.fromisoformat(facts["paid_on"]), lang)
    lines = [(say("Date"), i18n.day(day, lang)), (say("Payment"), facts["payment"])]
    lines.append((say("Paid on"), paid))
    if "credits" in facts:
        lines.append((say("Takes back"), facts["credits"]))
    return lines


def _notes(draft: Draft) -> list[str]:
    say = partial(i18n.translate, draft.lang)
    notes = [say("Paid. Nothing is due.")] if draft.kind == Kind.INVOICE else []
    mention = tax.MENTIONS[tax.Case(draft.facts["vat_case"])]
    return [*notes, say(mention)] if mention else notes
