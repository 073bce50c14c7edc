"""The way out of the house, whichever it is: what is handed over, and how that can fail."""

from dataclasses import dataclass
from typing import Protocol
from uuid import UUID

import idna

from flowlink.kernel import settings
from flowlink.notify.content import Content

OUTBOX = "outbox"


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A mail ready to go. `key` and `message_id` are the same at each attempt."""

    key: UUID
    message_id: str
    sender: str
    sender_name: str
    to: str
    content: Content


class DeliveryFailed(Exception):
    """The mail was not taken over; the text says why, fit for the operator."""


class TryAgain(DeliveryFailed):
    """It may work later: the other side is away, busy, or wrongly set up here."""


class Hopeless(DeliveryFailed):
    """It will never work for this mail: no such address, or content refused."""


class Transport(Protocol):
    """A way to send mail."""

    name: str

    def deliver(self, mail: Outgoing) -> str:
        """Hand the mail over and return the other side's reference.

        :raises TryAgain:
        :raises Hopeless:
        """
        ...


class Outbox:
    """No transport is set up: mails stay in the house, readable for the operator."""

    name = OUTBOX

    def deliver(self, mail: Outgoing) -> str:
        return mail.message_id


def ascii_domain(address: str) -> str:
    """The address with its domain in the letters that every mail server knows (RFC 5891)."""
    local, _, domain = address.rpartition("@")
    if domain.isascii():
        return address
    try:
        return f"{local}@{idna.encode(domain).decode()}"
    except idna.IDNAError as error:
        raise Hopeless(f"not a domain name: {domain}") from error


def is_set_up() -> bool:
    """Whether mail leaves the house at all."""
    chosen = settings.current()
    return bool(chosen.smtp_url or chosen.brevo_api_key)
