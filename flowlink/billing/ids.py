"""The ids of billing and their public prefixes."""

from typing import NewType
from uuid import UUID

from flowlink.kernel import ids

RESOURCE = "res"
PAYMENT = "pm"

ResourceId = NewType("ResourceId", UUID)
PaymentId = NewType("PaymentId", UUID)


def resource(key: UUID) -> str:
    """`res_…`, as people and scripts see it."""
    return ids.public(RESOURCE, key)


def payment(key: UUID) -> str:
    """`pm_…`, as people, scripts and providers see it."""
    return ids.public(PAYMENT, key)


def parse_resource(text: str) -> ResourceId:
    """:raises NotFound:"""
    return ResourceId(ids.parse(RESOURCE, text))


def parse_payment(text: str) -> PaymentId:
    """:raises NotFound:"""
    return PaymentId(ids.parse(PAYMENT, text))


def ref(payment_id: UUID, attempt: int) -> str:
    """What providers know a charge by: the payment's id, and which attempt it is."""
    return payment(payment_id) if attempt == 1 else f"{payment(payment_id)}-{attempt}"


def parse_ref(text: str) -> PaymentId:
    """The payment of a provider's charge.

    :raises NotFound: not a name of ours.
    """
    return parse_payment(text.partition("-")[0])
