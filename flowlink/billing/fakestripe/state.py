"""What the fake Stripe remembers, what becomes of it, and the events it owes its listener."""

import copy
import threading
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from flowlink.billing.fakestripe import things
from flowlink.billing.fakestripe.knobs import CARDS, Card, Knobs
from flowlink.billing.fakestripe.things import Thing

VERSION = "2026-10-28.endive"
SMALLEST_MINOR = 50  # in euros
_DECLINED = {
    "generic_decline": "Your card was declined.",
    "insufficient_funds": "Your card has insufficient funds.",
    "authentication_required": "Your card was declined. This transaction requires authentication.",
}


class Refused(Exception):
    """What Stripe answers instead: a number and an error object."""

    def __init__(self, status: int, message: str, **more: object) -> None:
        super().__init__(message)
        kind = {402: "card_error"}.get(status, "invalid_request_error")
        self.status, self.error = status, {"type": kind, "message": message} | more


@dataclass
class Ledger:
    """All that it remembers. Every method may be called from any thread."""

    knobs: Knobs = field(default_factory=Knobs)
    by_kind: dict[str, dict[str, Thing]] = field(default_factory=dict)
    owed: deque[Thing] = field(default_factory=deque)
    counter: int = 0
    lock: threading.RLock = field(default_factory=threading.RLock)

    def make_customer(self, asked: Thing, *, at: int) -> Thing:
        return self._keep(things.customer(self._name("cus"), asked, at))

    def make_session(self, asked: Thing, *, at: int, base: str) -> Thing:
        """A page to pay one line on."""
        if asked.get("mode") != "payment" or len(asked.get("line_items", {})) != 1:
            raise Refused(400, "The fake sells one line at a time.", param="line_items")
        if "customer" in asked:
            self.get("customer", asked["customer"], param="customer")
        key = self._name("cs_test")
        made = things.session(key, asked, at, f"{base}/pay/{key}")
        _check_amount(made["amount_total"], "line_items")
        made["metadata"] = dict(made["metadata"])
        self._hidden(key)["intent"] = asked.get("payment_intent_data", {})
        return self._keep(made)

    def make_intent(self, asked: Thing, *, at: int) -> Thing:
        """A charge to be confirmed; the fake makes none that is confirmed at once."""
        if asked.get("confirm") == "true":
            raise Refused(400, "The fake confirms in a call of its own.", param="confirm")
        _check_amount(int(asked["amount"]), "amount")
        if "customer" in asked:
            self.get("customer", asked["customer"], param="customer")
        if "payment_method" in asked:
            method = self.get("payment_method", asked["payment_method"], param="payment_method")
            if method["customer"] != asked.get("customer"):
                raise Refused(
                    400,
                    "This payment method belongs to somebody else.",
                    code="payment_method_customer_mismatch",
                    param="payment_method",
                )
        return self._keep(things.intent(self._name("pi"), asked, at))

    def confirm(self, key: str, *, off_session: bool, at: int) -> Thing:
        """Charge it. Declined, it may be confirmed again; paid, it may not."""
        intent = self.get("payment_intent", key)
        if intent["status"] != "requires_confirmation":
            raise _unexpected(intent)
        card = CARDS[self.get("payment_method", intent["payment_method"])["card"]["last4"]]
        declined = card.away if off_session else card.on_page
        if declined:
            raise self._decline(intent, declined)
        self._succeed(intent, card, at)
        return intent

    def cancel(self, key: str, asked: Thing, *, at: int) -> Thing:
        intent = self.get("payment_intent", key)
        if intent["status"] in {"succeeded", "canceled", "processing"}:
            raise _unexpected(intent)
        intent |= {"status": "canceled", "canceled_at": at}
        intent["cancellation_reason"] = asked.get("cancellation_reason")
        self._owe("payment_intent.canceled", intent, at)
        return intent

    def expire(self, key: str, *, at: int) -> Thing:
        session = self.get("checkout.session", key)
        if session["status"] != "open":
            said = f"This Checkout Session is {session['status']}: only open ones can be expired."
            raise Refused(400, said)
        session |= {"status": "expired", "url": None}
        if session["payment_intent"] is not None:
            intent = self.get("payment_intent", session["payment_intent"])
            intent |= {"status": "canceled", "canceled_at": at}
        self._owe("checkout.session.expired", session, at)
        return session

    def make_refund(self, asked: Thing, *, at: int) -> Thing:
        intent = self.get("payment_intent", asked.get("payment_intent", ""), param="payment_intent")
        if intent["status"] != "succeeded":
            raise Refused(400, "This PaymentIntent does not have a successful charge to refund.")
        charge = self.get("charge", intent["latest_charge"])
        left = charge["amount"] - charge["amount_refunded"]
        amount = int(asked.get("amount", left))
        if charge["disputed"]:
            raise Refused(400, "The charge has been charged back.", code="charge_disputed")
        if not left:
            raise Refused(400, "Charge was refunded already.", code="charge_already_refunded")
        if not 0 < amount <= left:
            raise Refused(400, f"Refund amount is greater than {left}.", param="amount")
        charge["amount_refunded"] += amount
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]
        self._owe("charge.refunded", charge, at)
        return self._keep(things.refund(self._name("re"), charge, amount, asked, at))

    def pay(self, key: str, *, last4: str, confirmed: bool, at: int) -> Thing:
        """What happens when the customer presses the button on the page; the session after it."""
        with self.lock:
            session = self.get("checkout.session", key)
            self.advance(at)
            if session["status"] != "open" or last4 not in CARDS:
                return session
            card, intent = CARDS[last4], self._intent_of(session, at)
            if card.on_page:
                self._declined(intent, card.on_page)
                self._owe("payment_intent.payment_failed", intent, at)
            elif card.second_step and not confirmed:
                intent["status"] = "requires_action"
                self._hidden(key)["card"] = last4
            else:
                method = things.method(self._name("pm"), card, session["customer"], at)
                intent["payment_method"] = self._keep(method)["id"]
                session |= {"status": "complete", "payment_status": "paid", "url": None}
                self._succeed(intent, card, at)
                self._owe("checkout.session.completed", session, at)
            return session

    def waits_for(self, key: str) -> str:
        """The card whose owner has to take the second step on this page; else empty."""
        session = self.get("checkout.session", key)
        intent = self.by_kind.get("payment_intent", {}).get(session["payment_intent"] or "")
        waits = intent is not None and intent["status"] == "requires_action"
        return str(self._hidden(key).get("card", "")) if waits else ""

    def dispute(self, intent_key: str, *, to: str, at: int) -> Thing:
        """The customer's bank takes the money (`open`), and later decides (`won`, `lost`)."""
        with self.lock:
            intent = self.get("payment_intent", intent_key)
            charge = self.get("charge", intent["latest_charge"] or "")
            known = [d for d in self.every("dispute") if d["charge"] == charge["id"]]
            if to == "open" and not known:
                charge["disputed"] = True
                made = self._keep(things.dispute(self._name("du"), charge, at))
                self._owe("charge.dispute.created", made, at)
                self._owe("charge.dispute.funds_withdrawn", made, at)
            elif to in {"won", "lost"} and known and known[0]["status"] == "needs_response":
                known[0]["status"] = to
                if to == "won":
                    self._owe("charge.dispute.funds_reinstated", known[0], at)
                self._owe("charge.dispute.closed", known[0], at)
            return charge

    def advance(self, at: int) -> None:
        """Let the pages run out whose day is over."""
        with self.lock:
            for session in self.every("checkout.session"):
                if session["status"] == "open" and session["expires_at"] <= at:
                    self.expire(session["id"], at=at)

    def take_owed(self) -> list[Thing]:
        """The events to deliver now: some twice, some later, some never, some in another order."""
        with self.lock:
            ready, self.owed = self.knobs.deliver(self.owed)
            return ready

    def get(self, kind: str, key: str, *, param: str = "id") -> Thing:
        """:raises Refused: there is none."""
        found = self.by_kind.get(kind, {}).get(key)
        if found is None:
            status = 404 if param == "id" else 400
            raise Refused(status, f"No such {kind}: '{key}'", code="resource_missing", param=param)
        return found

    def every(self, kind: str) -> list[Thing]:
        """The latest first, as Stripe lists them."""
        return list(self.by_kind.get(kind, {}).values())[::-1]

    def expanded(self, thing: Thing, paths: Iterable[str]) -> Thing:
        """With the things themselves in place of their names, as `expand` asks."""
        whole = copy.deepcopy(thing)
        for path in paths:
            place = whole
            for name in path.split("."):
                if name not in place:
                    raise Refused(400, f"This property cannot be expanded ({path}).")
                if isinstance(place[name], str):
                    kind = "charge" if name == "latest_charge" else name
                    place[name] = copy.deepcopy(self.get(kind, place[name]))
                if place[name] is None:
                    break
                place = place[name]
        return whole

    def _intent_of(self, session: Thing, at: int) -> Thing:
        if session["payment_intent"] is not None:
            return self.get("payment_intent", session["payment_intent"])
        asked: Thing = dict(self._hidden(session["id"])["intent"])
        asked |= {
            "amount": session["amount_total"],
            "currency": session["currency"],
            "customer": session["customer"],
        }
        intent = self._keep(things.intent(self._name("pi"), asked, at))
        session["payment_intent"] = intent["id"]
        return intent

    def _succeed(self, intent: Thing, card: Card, at: int) -> None:
        made = self._keep(things.charge(self._name("ch"), intent, at))
        intent |= {
            "status": "succeeded",
            "amount_received": intent["amount"],
            "latest_charge": made["id"],
            "last_payment_error": None,
        }
        self._owe("payment_intent.succeeded", intent, at)
        if card.disputed:
            self.dispute(intent["id"], to="open", at=at)

    def _decline(self, intent: Thing, reason: str) -> Refused:
        error = self._declined(intent, reason)
        self._owe("payment_intent.payment_failed", intent, intent["created"])
        more = {name: value for name, value in error.items() if name not in {"type", "message"}}
        return Refused(402, error["message"], **more, payment_intent=copy.deepcopy(intent))

    def _declined(self, intent: Thing, reason: str) -> Thing:
        code = reason if reason == "authentication_required" else "card_declined"
        error = {"type": "card_error", "code": code, "decline_code": reason}
        error["message"] = _DECLINED[reason]
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        return error

    def _owe(self, kind: str, about: Thing, at: int) -> None:
        made = things.event(self._name("evt"), kind, copy.deepcopy(about), at, VERSION)
        self.owed.append(self._keep(made))

    def _keep(self, thing: Thing) -> Thing:
        self.by_kind.setdefault(thing["object"], {})[thing["id"]] = thing
        return thing

    def _hidden(self, key: str) -> Thing:
        """What is remembered of a thing and never told."""
        return self.by_kind.setdefault("hidden", {}).setdefault(key, {})

    def _name(self, prefix: str) -> str:
        with self.lock:
            self.counter += 1
            return f"{prefix}_{self.counter:014d}"


def stamp(now: datetime) -> int:
    """A moment as Stripe writes it."""
    return int(now.timestamp())


def matches(thing: Mapping[str, object], asked: Mapping[str, object]) -> bool:
    """Whether a thing is one of those that a list is asked for."""
    span, kinds = asked.get("created"), asked.get("types")
    at = thing["created"]
    assert isinstance(at, int)
    if isinstance(span, Mapping):
        low, high = int(span.get("gte", 0)), int(span.get("lte", at))
        if not low <= at <= high:
            return False
    if isinstance(kinds, Mapping) and thing.get("type") not in kinds.values():
        return False
    plain = ("customer", "payment_intent", "charge", "status", "type")
    return all(thing.get(name) == asked[name] for name in plain if name in asked)


def _unexpected(intent: Thing) -> Refused:
    said = f"This PaymentIntent's status is {intent['status']}: this cannot be done."
    return Refused(400, said, code="payment_intent_unexpected_state")


def _check_amount(minor: int, param: str) -> None:
    if minor < SMALLEST_MINOR:
        said = "Amount must be at least €0.50 eur."
        raise Refused(400, said, code="amount_too_small", param=param)
