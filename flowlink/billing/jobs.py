"""What the clock and events start in billing."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flowlink.billing import (
    books,
    charges,
    inbox,
    invoices,
    renewals,
    stripe_events,
    stripe_missed,
)
from flowlink.billing.providers import Away
from flowlink.kernel import db, jobs, settings


@jobs.job("expire_additional_resources", cron="0 5 * * *")
def expire_resources(now: datetime) -> str:
    """End plans and add-ons whose time is over, and orders that nobody paid."""
    return f"{renewals.expire(now=now)} plans and add-ons ended"


@jobs.job("billing_renew", cron="25 * * * *")
def renew(now: datetime) -> str:
    """Charge the periods that end soon, and failed ones after 2, 5 and 7 days."""
    charged, tried = renewals.renew_due(now=now)
    return f"{charged} periods charged, {tried} tried again"


@jobs.job("billing_remind", cron="40 * * * *")
def remind(now: datetime) -> str:
    """Tell owners 7 and 1 days ahead what will be charged or will end."""
    return f"{renewals.remind(now=now)} reminders sent"


@jobs.job("billing_reconcile", cron="*/10 * * * *")
def reconcile(now: datetime) -> str:
    """Find payments whose webhook never came, give back what has to go back, handle what waits."""
    handled = sum(inbox.handle_due(name, now=now) for name in inbox.PROVIDERS)
    asked, changed = charges.reconcile(now=now)
    return f"{handled} events handled, {asked} payments asked about, {changed} changed"


@jobs.job("billing_stripe_missed", cron="5-59/10 * * * *")
def hear_missed(now: datetime) -> str:
    """Keep the events that Stripe lists and no webhook brought, and handle them."""
    if not settings.current().stripe_secret_key:
        return "Stripe is not set up"
    try:
        listed, new = stripe_missed.catch_up(now=now)
    except Away as trouble:
        return f"nothing read: {trouble}"
    handled = inbox.handle_due(stripe_events.NAME, now=now)
    return f"{listed} events listed, {new} of them new, {handled} handled"


@jobs.job("billing_recognise", cron="10 0 * * *")
def recognise(now: datetime) -> str:
    """Recognise the revenue of the days that are over."""
    moved = 0
    while True:
        with db.write() as session:
            count = books.recognise(session, now=now)
        if not count:
            return f"revenue of {moved} payments recognised"
        moved += count


@jobs.job("billing_papers", cron="*/10 * * * *")
def issue_papers(now: datetime) -> str:
    """Write the invoices of what was paid, and credit notes of what went back."""
    with db.read() as session:
        due = invoices.waiting(session)
    issued = 0
    for payment_id in due:
        with db.write() as session:
            issued += invoices.issue(session, payment_id=payment_id, now=now)
    return f"{issued} invoices and credit notes issued"


@jobs.handler("provider.event", coalesce=True)
def handle_events(payload: dict[str, Any], now: datetime) -> None:
    """Handle all events of the providers of payments; other providers' are other modules'."""
    for name in inbox.PROVIDERS:
        inbox.handle_due(name, now=now)


@jobs.handler("payment.superseded")
def close_page(payload: dict[str, Any], now: datetime) -> None:
    """Have the provider close the page of an order that was cancelled or replaced."""
    charges.close(UUID(payload["payment_id"]), now=now)


@jobs.handler("refund.asked")
def refund(payload: dict[str, Any], now: datetime) -> None:
    """Have the provider give back what was asked for."""
    charges.refund(UUID(payload["payment_id"]), now=now)
