"""Tables of papers. All rows are added, never changed, but for the counter of a series."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key
from flowlink.kernel.money import Money


class Kind(StrEnum):
    SELF_BILLING = "self_billing"
    INVOICE = "invoice"
    CREDIT_NOTE = "credit_note"


class Company(Base):
    """Who we are on paper, from a moment on."""

    __tablename__ = "papers_company"

    id: Mapped[Key]
    party: Mapped[dict[str, Any]] = mapped_column(JSONB)
    actor: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class Series(Base):
    """The counter of a number series. Whoever locks its row gets the next number."""

    __tablename__ = "papers_series"

    name: Mapped[str] = mapped_column(Text, primary_key=True)
    last: Mapped[int]


class Paper(Base):
    """An issued invoice or credit note: its facts, and the file that was made of them.

    Amounts are in cents and never negative: a credit note says by its kind that it takes back.
    """

    __tablename__ = "papers_paper"
    __table_args__ = (
        UniqueConstraint("series", "sequence", name="uq_papers_paper_series"),
        CheckConstraint("kind IN ('self_billing', 'invoice', 'credit_note')", name="kind"),
        CheckConstraint("(kind = 'credit_note') = (credits_id IS NOT NULL)", name="credits"),
        CheckConstraint(
            "total_minor > 0 AND vat_minor >= 0 AND total_minor = net_minor + vat_minor",
            name="total",
        ),
        CheckConstraint("sequence > 0", name="sequence"),
        Index("ix_papers_paper_owner_id", "owner", "id"),
        Index("ix_papers_paper_subject", "subject"),
    )

    id: Mapped[Key]
    kind: Mapped[Kind] = mapped_column(Text)
    series: Mapped[str] = mapped_column(Text)
    sequence: Mapped[int]
    owner: Mapped[UUID]
    subject: Mapped[str] = mapped_column(Text)
    """What it is about, such as `withdrawal:<id>`."""
    source: Mapped[str] = mapped_column(Text, unique=True)
    """Its name for ever: the same source again issues nothing."""
    credits_id: Mapped[UUID | None] = mapped_column(ForeignKey("papers_paper.id"), index=True)
    lang: Mapped[str] = mapped_column(Text)
    issued_on: Mapped[date]
    issued_at: Mapped[datetime]
    currency: Mapped[str] = mapped_column(Text)
    net_minor: Mapped[int] = mapped_column(BigInteger)
    vat_minor: Mapped[int] = mapped_column(BigInteger)
    total_minor: Mapped[int] = mapped_column(BigInteger)
    facts: Mapped[dict[str, Any]] = mapped_column(JSONB)
    sha256: Mapped[str] = mapped_column(Text)
    pdf: Mapped[bytes] = mapped_column(deferred=True)

    @property
    def number(self) -> str:
        """`SB-2026-00042`, as it stands on the paper."""
        return f"{self.series}-{self.sequence:05}"

    @property
    def total(self) -> Money:
        return Money.from_cents(self.total_minor, self.currency)

    @property
    def net(self) -> Money:
        return Money.from_cents(self.net_minor, self.currency)

    @property
    def vat(self) -> Money:
        return Money.from_cents(self.vat_minor, self.currency)
