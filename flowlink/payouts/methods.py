"""Payout methods: where a partner's money is sent. Kept encrypted, shown masked."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import schwifty
from schwifty.exceptions import SchwiftyException
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity import addresses
from flowlink.kernel import crypto
from flowlink.kernel.errors import Invalid
from flowlink.kernel.policy import Policy
from flowlink.partners.ids import PartnerId
from flowlink.payouts.models import Method, Rail

SETTLING = timedelta(hours=72)
HOLDER_MAX = 70


class BadMethod(Invalid):
    message = "Please choose one of the payout methods."
    field = "method"


class BadDetails(Invalid):
    message = "Please say where the money should go."
    field = "details"


class BadIban(BadDetails):
    message = "This is not a valid IBAN."


class NotSepa(BadDetails):
    message = "This account cannot get SEPA transfers. Please give one within the SEPA area."


class BadPaypalAddress(BadDetails):
    message = "This is not a valid e-mail address for PayPal."


def keep(
    session: Session,
    *,
    partner_id: PartnerId,
    rail: str,
    details: str,
    policy: Policy,
    now: datetime,
    holder: str = "",
) -> Method:
    """The partner's method with these details, kept if it is new; without details the last one.

    A first method counts as settled at once, a later one after 72 hours (spec 3). The caller holds
    the partner's lock.

    :raises BadMethod: not a method we pay by. :raises BadDetails: none, not valid, or not SEPA.
    """
    if rail not in policy.payout_methods:
        raise BadMethod
    known = session.scalars(select(Method).where(Method.partner_id == partner_id)).all()
    if not details.strip():
        return _named(_last(known, Rail(rail), now), holder)
    plain = _normal_iban(details) if rail == Rail.BANK else _normal_address(details)
    prints = crypto.keyed_hashes("payout-method", rail, plain)
    for method in known:
        if method.fingerprint in prints:
            method.used_at = now
            return _named(method, holder)
    method = Method(
        partner_id=partner_id,
        rail=Rail(rail),
        sealed=crypto.encrypt(plain.encode()),
        fingerprint=prints[0],
        masked=_masked_iban(plain) if rail == Rail.BANK else _masked_address(plain),
        settled_at=now + SETTLING if known else now,
        used_at=now,
        created_at=now,
    )
    session.add(method)
    session.flush()  # the withdrawal names its method
    return _named(method, holder)


def details_of(method: Method) -> str:
    """The details in clear, for whoever sends the money."""
    return crypto.decrypt(method.sealed).decode()


def _named(method: Method, holder: str) -> Method:
    """Banks compare the name with the account's (verification of payee, since October 2025)."""
    if holder.strip():
        method.holder = holder.strip()[:HOLDER_MAX]
    return method


def _last(known: Sequence[Method], rail: Rail, now: datetime) -> Method:
    used = [method for method in known if method.rail == rail]
    if not used:
        raise BadDetails
    last = max(used, key=lambda method: method.used_at)
    last.used_at = now
    return last


def _normal_iban(details: str) -> str:
    """ISO 13616 with its check digits, and the country's own where it has some; of a country to
    which our runs can pay: one foreign account would have the bank refuse the whole file.
    """
    try:
        iban = schwifty.IBAN(details.strip(), validate_bban=True)
    except SchwiftyException:
        raise BadIban from None
    if not iban.in_sepa_zone:
        raise NotSepa
    return str(iban)


def _normal_address(details: str) -> str:
    try:
        return addresses.normalize(details)
    except addresses.BadEmail:
        raise BadPaypalAddress from None


def _masked_iban(iban: str) -> str:
    return f"{iban[:4]} … {iban[-4:]}"


def _masked_address(address: str) -> str:
    local, _, domain = address.rpartition("@")
    return f"{local[0]}…@{domain}"
