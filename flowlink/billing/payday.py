"""Paying in the sandbox from end to end: its card page, its webhooks, and our handling of them."""

from datetime import datetime

from flowlink.billing import ids, inbox, providers, queries, sandbox
from flowlink.billing.sandbox import Card, Webhook
from flowlink.billing.sandbox_models import SandboxCharge
from flowlink.kernel import db
from flowlink.kernel.errors import Refused


class NotSandbox(Refused):
    message = "Only payments of the sandbox can be paid this way."


def pay(
    ref: str, *, card: Card, confirmed: bool = True, copies: int = 1, now: datetime
) -> SandboxCharge:
    """The customer pays; the sandbox tells us `copies` times, and we handle it.

    :raises sandbox.UnknownCharge: :raises sandbox.ChargeClosed:
    """
    with db.write() as session:
        charge = sandbox.pay(session, ref, card=card, confirmed=confirmed, now=now)
        told = [sandbox.webhook(charge, now=now)] * copies
    _deliver(told, now=now)
    if card == Card.DISPUTED and charge.dispute == "none":
        return dispute(ref, to="open", now=now)
    return charge


def dispute(ref: str, *, to: str, now: datetime) -> SandboxCharge:
    """The customer's bank takes the money (`open`), or decides (`won`, `lost`).

    :raises sandbox.UnknownCharge: :raises sandbox.ChargeClosed:
    """
    with db.write() as session:
        charge = sandbox.decide(session, ref, dispute=to, now=now)
        told = sandbox.webhook(charge, now=now)
    _deliver([told], now=now)
    return charge


def pay_payment(payment_id: str, *, now: datetime) -> str:
    """Pay one of our payments in the sandbox, from the shell; what became of it.

    :raises NotFound: no such payment. :raises NotSandbox: :raises sandbox.ChargeClosed:
    """
    with db.read() as session:
        payment = queries.payment(session, payment_id=ids.parse_payment(payment_id))
        if payment.provider != sandbox.NAME:
            raise NotSandbox
        ref = ids.ref(payment.id, payment.attempt)
    pay(ref, card=Card.GOOD, now=now)
    with db.read() as session:
        return str(queries.payment(session, payment_id=payment.id).status)


def _deliver(told: list[Webhook], *, now: datetime) -> None:
    """Each to our door as it would come over the wire; then the door is answered."""
    provider = providers.named(sandbox.NAME)
    for message in told:
        inbox.receive(provider.name, message.headers, message.body, now=now)
    inbox.handle_due(provider.name, now=now)
