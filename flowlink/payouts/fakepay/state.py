"""What the fake PayPal remembers: batches, their items, and the events it owes its listener."""

import hmac
import json
import threading
import zlib
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from flowlink.kernel.accidents import Accidents

KEPT = timedelta(days=30)  # for how long a sender_batch_id is not paid again
# What becomes of an item, by a word in its receiver's address.
FATES: dict[str, tuple[str, ...]] = {
    "failed": ("PENDING", "FAILED"),
    "blocked": ("PENDING", "BLOCKED"),
    "onhold": ("PENDING", "ONHOLD", "SUCCESS"),
    "unclaimed": ("PENDING", "UNCLAIMED"),
    "returned": ("PENDING", "UNCLAIMED", "RETURNED"),
    "claimed": ("PENDING", "UNCLAIMED", "SUCCESS"),
    "refunded": ("PENDING", "SUCCESS", "REFUNDED"),
    "reversed": ("PENDING", "SUCCESS", "REVERSED"),
}
USUAL = ("PENDING", "SUCCESS")
_EVENT_WORDS = {"SUCCESS": "SUCCEEDED", "ONHOLD": "HELD"}
_ERRORS = {
    "FAILED": ("RECEIVER_ACCOUNT_LOCKED", "Receiver is unable to receive money."),
    "UNCLAIMED": ("RECEIVER_UNREGISTERED", "Receiver is unregistered."),
    "BLOCKED": ("RISK_DECLINE", "The payout was declined."),
}


@dataclass
class Item:
    """One payout as PayPal would have it."""

    item_id: str
    batch_id: str
    asked: dict[str, Any]
    fate: tuple[str, ...]
    at: int = 0

    @property
    def status(self) -> str:
        return self.fate[self.at]

    def json(self) -> dict[str, Any]:
        found: dict[str, Any] = {
            "payout_item_id": self.item_id,
            "transaction_id": f"T{self.item_id}",
            "transaction_status": self.status,
            "payout_batch_id": self.batch_id,
            "payout_item": self.asked,
        }
        if self.status == "SUCCESS":
            found["payout_item_fee"] = _fee_of(self.asked["amount"])
        if self.status in _ERRORS:
            name, message = _ERRORS[self.status]
            found["errors"] = {"name": name, "message": message, "debug_id": "fake"}
        return found


@dataclass
class Batch:
    """One batch as PayPal would have it."""

    batch_id: str
    sender_batch_id: str
    created_at: datetime
    items: list[Item]
    status: str = "PENDING"

    def head(self) -> dict[str, Any]:
        return {
            "payout_batch_id": self.batch_id,
            "batch_status": self.status,
            "time_created": f"{self.created_at:%Y-%m-%dT%H:%M:%SZ}",
            "sender_batch_header": {"sender_batch_id": self.sender_batch_id},
        }


@dataclass
class Event:
    """A webhook to be delivered, with PayPal's headers."""

    headers: dict[str, str]
    body: bytes


@dataclass
class Ledger:
    """All that it remembers. Every method may be called from any thread."""

    webhook_id: str = "FAKEWEBHOOK1"
    knobs: Accidents = field(default_factory=Accidents)
    batches: dict[str, Batch] = field(default_factory=dict)
    items: dict[str, Item] = field(default_factory=dict)
    owed: deque[Event] = field(default_factory=deque)
    counter: int = 0
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def open_batch(self, body: dict[str, Any], now: datetime) -> tuple[Batch, bool]:
        """The batch of this `sender_batch_id`, and whether it is new."""
        name = str(body["sender_batch_header"].get("sender_batch_id", ""))
        with self._lock:
            for known in self.batches.values():
                if name and known.sender_batch_id == name and now - known.created_at < KEPT:
                    return known, False
            batch = Batch(self._name("B"), name, now, [])
            for asked in body["items"]:
                item = Item(self._name("I"), batch.batch_id, asked, fate_of(asked["receiver"]))
                batch.items.append(item)
                self.items[item.item_id] = item
            self.batches[batch.batch_id] = batch
            self._owe("PAYMENT.PAYOUTSBATCH.PROCESSING", {"batch_header": batch.head()}, now)
            return batch, True

    def advance(self, now: datetime) -> int:
        """Every item takes its next step, with the event that tells it; returns how many did."""
        with self._lock:
            moved = 0
            for batch in self.batches.values():
                for item in batch.items:
                    if item.at + 1 < len(item.fate):
                        item.at += 1
                        moved += 1
                        word = _EVENT_WORDS.get(item.status, item.status)
                        self._owe(f"PAYMENT.PAYOUTS-ITEM.{word}", item.json(), now)
                if batch.status != "SUCCESS":
                    batch.status = "SUCCESS"
                    self._owe("PAYMENT.PAYOUTSBATCH.SUCCESS", {"batch_header": batch.head()}, now)
            return moved

    def take_owed(self) -> list[Event]:
        """The events to deliver now: some twice, some later, some never, some in another order."""
        with self._lock:
            ready, self.owed = self.knobs.deliver(self.owed)
            return ready

    def signature(self, transmission_id: str, time: str, webhook_id: str, event: Any) -> str:
        """What stands for PayPal's RSA signature over id, time, webhook and the body's CRC-32.

        It begins with a letter, as PayPal's description of the field wants it.
        """
        crc = zlib.crc32(json.dumps(event, sort_keys=True).encode())
        message = f"{transmission_id}|{time}|{webhook_id}|{crc}".encode()
        return f"fake{hmac.digest(b'fakepay', message, 'sha256').hex()}"

    def _owe(self, kind: str, resource: dict[str, Any], now: datetime) -> None:
        time = f"{now:%Y-%m-%dT%H:%M:%SZ}"
        event = {
            "id": self._name("WH-"),
            "event_version": "1.0",
            "create_time": time,
            "resource_type": "payouts_item" if "ITEM" in kind else "payouts",
            "event_type": kind,
            "summary": "A fake event: no money moved.",
            "resource": resource,
        }
        sent = self._name("fake-")
        headers = {
            "paypal-auth-algo": "SHA256withRSA",
            "paypal-cert-url": "https://fakepay.invalid/certificate",
            "paypal-transmission-id": sent,
            "paypal-transmission-time": time,
            "paypal-transmission-sig": self.signature(sent, time, self.webhook_id, event),
            "content-type": "application/json",
        }
        self.owed.append(Event(headers, json.dumps(event).encode()))

    def _name(self, prefix: str) -> str:
        self.counter += 1
        return f"{prefix}{self.counter:012d}"


def _fee_of(amount: dict[str, str]) -> dict[str, str]:
    """Two per cent, as PayPal keeps of most payouts, in whole cents."""
    kept = (Decimal(amount["value"]) * 2).scaleb(-2).quantize(Decimal("0.01"))
    return {"currency": amount["currency"], "value": f"{kept:.2f}"}


def fate_of(receiver: str) -> tuple[str, ...]:
    """What becomes of a payout to this address."""
    local = receiver.partition("@")[0].lower()
    return next((fate for word, fate in FATES.items() if word in local), USUAL)
