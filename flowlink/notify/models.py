"""Mails and deliveries: what is to be sent, what came of it, and what its reader saw."""

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class MailState(StrEnum):
    QUEUED = "queued"
    SENT = "sent"
    FAILED = "failed"


class Mail(Base):
    """One message to one reader.

    The rendered text stays for the operator. Of a mail with a secret, what stays readable has
    the secret struck out; the secret itself is kept encrypted, until it is sent.
    """

    __tablename__ = "notify_mail"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'sent', 'failed')", name="state"),
        CheckConstraint("(state = 'sent') = (sent_at IS NOT NULL)", name="sent_at"),
        Index("ix_notify_mail_due", "next_try_at", postgresql_where=text("state = 'queued'")),
        Index("ix_notify_mail_failed", "id", postgresql_where=text("state = 'failed'")),
        Index("ix_notify_mail_to_address", "to_address"),
    )

    id: Mapped[Key]
    source: Mapped[str | None] = mapped_column(unique=True)
    to_address: Mapped[str]
    template: Mapped[str]
    lang: Mapped[str]
    context: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    sealed_context: Mapped[bytes | None]
    is_secret: Mapped[bool]
    useful_until: Mapped[datetime | None]
    state: Mapped[str] = mapped_column(server_default=text("'queued'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[datetime]
    error: Mapped[str] = mapped_column(server_default=text("''"))
    transport: Mapped[str] = mapped_column(server_default=text("''"))
    reference: Mapped[str] = mapped_column(server_default=text("''"))
    subject: Mapped[str] = mapped_column(server_default=text("''"))
    text_body: Mapped[str] = mapped_column(server_default=text("''"))
    html_body: Mapped[str] = mapped_column(server_default=text("''"))
    sealed_content: Mapped[bytes | None]
    created_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class EndpointState(StrEnum):
    ACTIVE = "active"
    PAUSED = "paused"
    DISABLED = "disabled"


class DeliveryState(StrEnum):
    QUEUED = "queued"
    DELIVERED = "delivered"
    FAILED = "failed"


class Endpoint(Base):
    """Where an owner wants to be told of events: POST takes JSON, GET fills places in the address.

    `failing_since` is when the first of an unbroken row of failures happened.
    """

    __tablename__ = "notify_endpoint"
    __table_args__ = (
        CheckConstraint("method IN ('POST', 'GET')", name="method"),
        CheckConstraint("state IN ('active', 'paused', 'disabled')", name="state"),
        Index("ix_notify_endpoint_owner_id", "owner_id", "id"),
    )

    id: Mapped[Key]
    owner_id: Mapped[UUID]
    method: Mapped[str]
    url: Mapped[str]
    events: Mapped[list[str]] = mapped_column(ARRAY(Text))
    secret_sealed: Mapped[bytes]
    state: Mapped[EndpointState] = mapped_column(Text)
    failing_since: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Delivery(Base):
    """One event for one endpoint, and what the last attempt was answered."""

    __tablename__ = "notify_delivery"
    __table_args__ = (
        CheckConstraint("state IN ('queued', 'delivered', 'failed')", name="state"),
        UniqueConstraint("endpoint_id", "source"),
        Index("ix_notify_delivery_endpoint_id_id", "endpoint_id", "id"),
        Index("ix_notify_delivery_due", "next_try_at", postgresql_where=text("state = 'queued'")),
    )

    id: Mapped[Key]
    endpoint_id: Mapped[UUID] = mapped_column(ForeignKey("notify_endpoint.id", ondelete="CASCADE"))
    source: Mapped[str]
    event: Mapped[str]
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[DeliveryState] = mapped_column(Text, server_default=text("'queued'"))
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[datetime]
    answer_status: Mapped[int | None]
    answer: Mapped[str] = mapped_column(server_default=text("''"))
    error: Mapped[str] = mapped_column(server_default=text("''"))
    took_ms: Mapped[int | None]
    created_at: Mapped[datetime]
    tried_at: Mapped[datetime | None]
