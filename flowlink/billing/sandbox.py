"""The built-in provider: a page to pay on, with cards that do what one wants to see.

It stands for a machine of somebody else, so it has its own tables and transactions, knows charges
by our name alone, and tells us nothing but by signed webhooks. No money moves.
"""

import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from hashlib import sha256

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.billing import providers
from flowlink.billing.providers import Charge, NotGenuine, Order, Seen, Told
from flowlink.billing.sandbox_models import SandboxCharge, SandboxPayer
from flowlink.kernel import crypto, db, settings
from flowlink.kernel.errors import NotFound, Refused

NAME = "sandbox"
HEADER = "sandbox-signature"
TOLERANCE_S = 300
_UNPAID = {Charge.OPEN, Charge.ACTION, Charge.FAILED}


class UnknownCharge(NotFound):
    message = "There is no such payment in the sandbox."


class ChargeClosed(Refused):
    message = "This payment is not open any more."


class Card(StrEnum):
    """What the customer pays with."""

    GOOD = "good"
    DECLINED = "declined"
    SECOND_STEP = "second_step"
    EXPIRES = "expires"  # pays once, then fails when we charge it again
    DISPUTED = "disputed"


@dataclass(frozen=True, slots=True)
class Webhook:
    """A message to us, as it goes over the wire."""

    headers: dict[str, str]
    body: bytes


class Sandbox:
    """The provider as the product asks it."""

    name = NAME

    def checkout(self, order: Order, *, now: datetime) -> str:
        with db.write() as session:
            _make(session, order, now=now)
        return f"{settings.current().url}/sandbox/pay/{order.ref}"

    def charge(self, order: Order, *, now: datetime) -> Seen:
        with db.write() as session:
            charge = _make(session, order, now=now)
            if charge.status == Charge.OPEN:
                payer = session.get(SandboxPayer, order.payer)
                _charge_away(charge, payer.card if payer else "", now=now)
            return _seen(charge)

    def state(self, ref: str) -> Seen | None:
        with db.read() as session:
            charge = session.get(SandboxCharge, ref)
            return None if charge is None else _seen(charge)

    def close(self, ref: str, *, now: datetime) -> Seen | None:
        with db.write() as session:
            charge = _find(session, ref)
            if charge is not None and charge.status in _UNPAID:
                charge.status, charge.changed_at = Charge.CLOSED, now
            return None if charge is None else _seen(charge)

    def refund(self, ref: str, total_minor: int, *, now: datetime) -> Seen:
        with db.write() as session:
            charge = _find(session, ref)
            if charge is None or charge.status != Charge.PAID:
                raise providers.Away
            charge.refunded_minor = max(charge.refunded_minor, total_minor)
            charge.changed_at = now
            return _seen(charge)

    def read(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Told:
        """The signature is `t=<seconds>,v1=<HMAC-SHA256 of "t.body">`, as others do it."""
        parts = dict(part.partition("=")[::2] for part in headers.get(HEADER, "").split(","))
        at = parts.get("t", "")
        if not at.isdecimal() or abs(int(now.timestamp()) - int(at[:12])) > TOLERANCE_S:
            raise NotGenuine
        if not crypto.same(_signature(at, body), parts.get("v1", "")):
            raise NotGenuine
        try:
            event = json.loads(body)
            return Told(str(event["id"])[:200], str(event["type"])[:200], str(event["ref"])[:200])
        except (ValueError, KeyError, TypeError):
            raise NotGenuine from None


def find(session: Session, ref: str) -> SandboxCharge:
    """The charge, to be shown on the sandbox's page.

    :raises UnknownCharge:
    """
    charge = session.get(SandboxCharge, ref)
    if charge is None:
        raise UnknownCharge
    return charge


def pay(session: Session, ref: str, *, card: Card, confirmed: bool, now: datetime) -> SandboxCharge:
    """What happens when the customer presses the button. A paid one stays as it is.

    :raises UnknownCharge: :raises ChargeClosed: closed or failed before.
    """
    charge = _find(session, ref)
    if charge is None:
        raise UnknownCharge
    if charge.status == Charge.PAID:
        return charge
    if charge.status not in _UNPAID:
        raise ChargeClosed
    charge.card, charge.changed_at = card, now
    if card == Card.DECLINED:
        charge.status, charge.failure = Charge.FAILED, "card_declined"
    elif card == Card.SECOND_STEP and not confirmed:
        charge.status, charge.failure = Charge.ACTION, ""
    else:
        charge.status, charge.failure = Charge.PAID, ""
        _keep_card(session, charge, now=now)
    return charge


def decide(session: Session, ref: str, *, dispute: str, now: datetime) -> SandboxCharge:
    """The customer's bank takes the money back (`open`), and later decides (`won`, `lost`).

    :raises UnknownCharge: :raises ChargeClosed: not paid, or not the dispute's next step.
    """
    charge = _find(session, ref)
    if charge is None:
        raise UnknownCharge
    steps = {"none": {"open"}, "open": {"won", "lost"}}
    if charge.status != Charge.PAID or dispute not in steps.get(charge.dispute, set()):
        raise ChargeClosed
    charge.dispute, charge.changed_at = dispute, now
    return charge


def webhook(charge: SandboxCharge, *, now: datetime, step: str = "") -> Webhook:
    """What the sandbox tells about a charge. The same step of a charge has the same event id."""
    word = step or _word(charge)
    event = {"id": f"evt_{charge.ref}_{word}", "type": f"charge.{word}", "ref": charge.ref}
    body = json.dumps(event).encode()
    at = str(int(now.timestamp()))
    return Webhook({HEADER: f"t={at},v1={_signature(at, body)}"}, body)


def _word(charge: SandboxCharge) -> str:
    if charge.dispute != "none":
        return f"dispute_{charge.dispute}"
    if charge.refunded_minor:
        return f"refunded_{charge.refunded_minor}"
    return str(charge.status)


def _make(session: Session, order: Order, *, now: datetime) -> SandboxCharge:
    row = insert(SandboxCharge).values(
        ref=order.ref,
        payer=order.payer,
        amount_minor=order.amount_minor,
        currency=order.currency,
        title=order.title,
        back_url=order.back_url,
        status=Charge.OPEN.value,
        made_at=now,
        changed_at=now,
    )
    session.execute(row.on_conflict_do_nothing(index_elements=["ref"]))
    charge = _find(session, order.ref)
    assert charge is not None
    return charge


def _find(session: Session, ref: str) -> SandboxCharge | None:
    found = db.lock(session, SandboxCharge, SandboxCharge.ref == ref)
    return found[0] if found else None


def _charge_away(charge: SandboxCharge, card: str, *, now: datetime) -> None:
    charge.card, charge.changed_at = card, now
    if card in {Card.GOOD, Card.DISPUTED}:
        charge.status = Charge.PAID
    elif card == Card.SECOND_STEP:
        charge.status, charge.failure = Charge.FAILED, "authentication_required"
    else:
        charge.status, charge.failure = Charge.FAILED, "card_declined" if card else "no_card"


def _keep_card(session: Session, charge: SandboxCharge, *, now: datetime) -> None:
    row = insert(SandboxPayer).values(payer=charge.payer, card=charge.card, kept_at=now)
    kept = {"card": charge.card, "kept_at": now}
    session.execute(row.on_conflict_do_update(index_elements=["payer"], set_=kept))


def _seen(charge: SandboxCharge) -> Seen:
    return Seen(
        ref=charge.ref,
        status=Charge(charge.status),
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        refunded_minor=charge.refunded_minor,
        dispute=charge.dispute,
        failure=charge.failure,
    )


def _signature(at: str, body: bytes) -> str:
    key = crypto.keyed_hash("sandbox-webhook")
    return hmac.new(key, at.encode() + b"." + body, sha256).hexdigest()


provider = providers.register(Sandbox())
