"""The mails: what is to be sent, what came of it, and what its reader saw."""

from datetime import datetime
from enum import StrEnum
from typing import Any

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.dialects.postgresql import JSONB
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
