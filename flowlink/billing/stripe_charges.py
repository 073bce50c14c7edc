"""Stripe as a provider: paid on its page the first time, charged off session when it renews.

Money moves only by things whose name at Stripe was written down before (`stripe_rows`): a page is
shown, and an intent confirmed, after that. So whoever dies or hears nothing asks Stripe about
that one thing, which can be paid once; nobody relies on Stripe remembering a key for a day.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TypeVar

from flowlink.billing import providers, stripe_api as api, stripe_events, stripe_rows as rows
from flowlink.billing.providers import Away, Charge, Order, Seen, Told
from flowlink.billing.stripe_api import Burnt, Found, StripeRefused
from flowlink.billing.stripe_models import AWAY, PAGE, StripeCharge

# What a dispute's status means for the money. A mere question (`warning_…`) holds none back.
_DISPUTES = {"needs_response": "open", "under_review": "open", "won": "won", "lost": "lost"}
_WORST = ("lost", "open", "won", "none")

T = TypeVar("T")


class StripeProvider:
    """Every method asks Stripe, and writes down what it learned."""

    name = stripe_events.NAME

    def checkout(self, order: Order, *, now: datetime) -> str:
        """The page for this charge: the same one while it is open, a new one after its day."""
        row = rows.order(order, kind=PAGE, now=now)
        if row.closed_at is not None:
            raise Away("this charge was closed")
        if row.kind == AWAY:
            if row.intent_id and not _stopped(row):
                return row.back_url
            row = _still(rows.to_page(row, now=now))
        if row.session_id:
            found = api.configured().session(row.session_id)
            if api.text(found, "status") == "open":
                return _url(found)
            if api.text(found, "status") != "expired":
                return row.back_url
            row = _still(rows.again(row, now=now))
        return _open_page(row, now=now)

    def charge(self, order: Order, *, now: datetime) -> Seen:
        """In three steps: prepare an intent, write down its name, confirm it."""
        row = rows.order(order, kind=AWAY, now=now)
        if row.kind == AWAY and row.closed_at is None:
            payer = rows.payer(row.payer)
            if payer is None or not payer.method_id:
                return _failed(row, "no_card")
            if not row.intent_id:
                prepared = _prepare(row, payer.customer_id, payer.method_id, now=now)
                if isinstance(prepared, Seen):
                    return prepared
                row = prepared
            _confirm(row, now=now)
        seen = _look(row)
        if seen is None:
            raise Away("it was not confirmed")
        return seen

    def state(self, ref: str) -> Seen | None:
        """None also for a charge that was prepared and never confirmed."""
        row = rows.find(ref)
        return None if row is None else _look(row)

    def close(self, ref: str, *, now: datetime) -> Seen | None:
        """Written down first: whoever prepares it meanwhile will not go on."""
        row = rows.close(ref, now=now)
        if row is None:
            return None
        try:
            if row.session_id:
                api.configured().expire(row.session_id)
            elif row.intent_id:
                api.configured().cancel(row.intent_id)
        except StripeRefused:
            pass  # it is paid, or over: the look says which
        return _look(row) or _seen(row, Charge.CLOSED)

    def refund(self, ref: str, total_minor: int, *, now: datetime) -> Seen:
        """Counts what has gone back at Stripe, whoever sent it, and sends the rest."""
        row = rows.find(ref)
        seen = None if row is None else _look(row)
        if row is None or seen is None or seen.status != Charge.PAID:
            raise Away("nothing is paid under this name")
        more = total_minor - seen.refunded_minor
        if more <= 0:
            return seen
        row = _still(rows.find(ref))
        try:
            api.configured().refund(row, gone_minor=seen.refunded_minor, more_minor=more)
        except StripeRefused as refusal:
            raise Away(f"Stripe does not give it back: {refusal.code}") from None
        return _still(_look(row))

    def read(self, headers: Mapping[str, str], body: bytes, *, now: datetime) -> Told:
        """:raises NotGenuine: :raises Away: whose it is cannot be asked now."""
        return stripe_events.read(headers, body, now=now)


def _open_page(row: StripeCharge, *, now: datetime) -> str:
    customer_id = _customer(row, now=now)
    try:
        found = api.configured().make_session(row, customer_id)
    except Burnt:
        rows.again(row, now=now)
        raise
    except StripeRefused as refusal:
        if refusal.param == "customer":
            rows.forget_customer(row.payer, customer_id)
        rows.again(row, now=now)
        raise Away(f"Stripe shows no page: {refusal.code}") from None
    session_id = api.text(found, "id")
    if rows.move(row, now=now, session_id=session_id) is None:
        newer = rows.find(row.ref)  # asked twice at once, it is the same page
        if newer is None or newer.session_id != session_id or newer.closed_at is not None:
            raise Away("it was changed meanwhile")
    return _url(found)


def _customer(row: StripeCharge, *, now: datetime) -> str:
    payer = rows.payer(row.payer)
    if payer is None:
        try:
            made = api.configured().make_customer(row)
        except Burnt:
            rows.again(row, now=now)
            raise
        except StripeRefused as refusal:
            raise Away(f"Stripe takes no customer: {refusal.code}") from None
        payer = rows.keep_customer(row.payer, api.text(made, "id"), now=now)
    return payer.customer_id


def _prepare(
    row: StripeCharge, customer_id: str, method_id: str, *, now: datetime
) -> StripeCharge | Seen:
    try:
        made = api.configured().make_intent(row, customer_id, method_id)
    except Burnt:
        rows.again(row, now=now)
        raise
    except StripeRefused as refusal:
        if refusal.param in {"payment_method", "customer", "amount"}:
            return _failed(row, refusal.code)
        raise Away(f"Stripe prepares no charge: {refusal.code}") from None
    return _still(rows.move(row, now=now, intent_id=api.text(made, "id")))


def _confirm(row: StripeCharge, *, now: datetime) -> None:
    """The one call that charges, of an intent that can be charged once."""
    if api.text(api.configured().intent(row.intent_id), "status") != "requires_confirmation":
        return
    try:
        api.configured().confirm(row)
    except Burnt:
        rows.move(row, now=now, number=row.number + 1)
        raise
    except StripeRefused:
        pass  # the intent itself says why


def _stopped(row: StripeCharge) -> bool:
    """Whether the charge of somebody away can never be made any more."""
    try:
        found = api.configured().cancel(row.intent_id)
    except StripeRefused:
        found = api.configured().intent(row.intent_id)
    return api.text(found, "status") == "canceled"


def _look(row: StripeCharge) -> Seen | None:
    """What has become of it at Stripe."""
    return _look_at_page(row) if row.kind == PAGE else _look_at_intent(row)


def _look_at_page(row: StripeCharge) -> Seen:
    """A page that ran out by itself is open: the next click makes another."""
    ends = Charge.OPEN if row.closed_at is None else Charge.CLOSED
    if not row.session_id:
        return _seen(row, ends)
    found = api.configured().session(row.session_id)
    _check(row, api.text(found, "client_reference_id"))
    intent = found.get("payment_intent")
    if intent is None:
        return _seen(row, ends if api.text(found, "status") == "expired" else Charge.OPEN)
    intent = api.part(intent)
    if row.intent_id != api.text(intent, "id"):
        rows.learn_intent(row, api.text(intent, "id"))
    status = api.text(intent, "status")
    if status == "succeeded":
        return _paid(row, intent)
    if status == "processing" or api.text(found, "status") != "expired":
        return _seen(row, Charge.ACTION if status == "requires_action" else Charge.OPEN)
    return _seen(row, ends)


def _look_at_intent(row: StripeCharge) -> Seen | None:
    if not row.intent_id:
        return None
    intent = api.configured().intent(row.intent_id)
    _check(row, api.text(api.part(intent.get("metadata")), "ref"))
    status = api.text(intent, "status")
    if status == "succeeded":
        return _paid(row, intent)
    if status == "requires_confirmation":
        return None
    if status in {"requires_payment_method", "requires_action"}:
        error = api.part(intent.get("last_payment_error") or {})
        return _failed(row, api.text(error, "decline_code") or api.text(error, "code"))
    if status == "canceled":
        return _seen(row, Charge.CLOSED)
    if status == "processing":
        return _seen(row, Charge.OPEN)
    raise Away(f"Stripe answered nonsense: an intent is {status[:40]!r}")


def _paid(row: StripeCharge, intent: Found) -> Seen:
    """Paid, and what went back of it. Learns what to charge the next time."""
    charge = api.part(intent.get("latest_charge"))
    method_id, customer_id = api.text(intent, "payment_method"), api.text(intent, "customer")
    if method_id and customer_id:
        paid_at = datetime.fromtimestamp(api.whole(charge, "created"), UTC)
        rows.keep_method(row.payer, customer_id, method_id, paid_at=paid_at)
    dispute = "none"
    if charge.get("disputed") is True:
        dispute = _dispute(api.text(intent, "id"))
    return Seen(
        ref=row.ref,
        status=Charge.PAID,
        amount_minor=api.whole(intent, "amount_received"),
        currency=api.text(intent, "currency").upper(),
        refunded_minor=api.whole(charge, "amount_refunded"),
        dispute=dispute,
    )


def _dispute(intent_id: str) -> str:
    found = api.configured().disputes(intent_id)
    seen = {_DISPUTES.get(api.text(one, "status"), "none") for one in found}
    return next((word for word in _WORST if word in seen), "none")


def _seen(row: StripeCharge, status: Charge) -> Seen:
    return Seen(row.ref, status, row.amount_minor, row.currency)


def _failed(row: StripeCharge, failure: str) -> Seen:
    return Seen(row.ref, Charge.FAILED, row.amount_minor, row.currency, failure=failure)


def _url(found: Found) -> str:
    url = api.text(found, "url")
    if not url.startswith(("https://", "http://")):
        raise Away("Stripe answered nonsense: no address to pay at")
    return url


def _check(row: StripeCharge, ref: str) -> None:
    if ref != row.ref:
        raise Away("Stripe answered nonsense: another charge")


def _still(found: T | None) -> T:
    """What is still there; without it somebody else acts on this charge now."""
    if found is None:
        raise Away("it was changed meanwhile")
    return found


provider = providers.register(StripeProvider())
