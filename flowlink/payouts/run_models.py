"""Tables of payout runs, their items, and what banks answered."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key
from flowlink.kernel.money import Money
from flowlink.payouts.models import Rail

UNKNOWN = "unknown"  # what the provider has said of an item that it has said nothing of


class RunState(StrEnum):
    PROPOSED = "proposed"
    RELEASED = "released"
    CANCELLED = "cancelled"


class AnswerKind(StrEnum):
    STATUS_REPORT = "pain.002"
    STATEMENT = "camt.053"


class LineOutcome(StrEnum):
    """What a bank's line came to: only the last two wait for a person."""

    APPLIED = "applied"
    KNOWN = "known"
    NOTED = "noted"
    UNMATCHED = "unmatched"
    CONTRADICTION = "contradiction"


class Run(Base):
    """Withdrawals of one rail that leave together: made by one, released by another.

    `sealed_file` is what left, encrypted: a later version may write the same run otherwise.
    """

    __tablename__ = "payouts_run"
    __table_args__ = (
        CheckConstraint("rail IN ('paypal', 'bank')", name="rail"),
        CheckConstraint("state IN ('proposed', 'released', 'cancelled')", name="state"),
        CheckConstraint("item_count >= 0 AND total_minor >= 0", name="totals"),
        CheckConstraint("(state = 'released') = (released_by IS NOT NULL)", name="released"),
        CheckConstraint("(state = 'cancelled') = (cancelled_by IS NOT NULL)", name="cancelled"),
        CheckConstraint("sealed_file IS NULL OR state = 'released'", name="sealed_file"),
        CheckConstraint("released_by <> made_by", name="four_eyes"),
        CheckConstraint("releaser_id <> maker_id", name="four_eyes_person"),
        Index(
            "ix_payouts_run_due", "next_try_at", postgresql_where=text("next_try_at IS NOT NULL")
        ),
    )

    id: Mapped[Key]
    rail: Mapped[Rail] = mapped_column(Text)
    currency: Mapped[str]
    state: Mapped[RunState] = mapped_column(Text)
    message_id: Mapped[str | None] = mapped_column(unique=True)
    execute_on: Mapped[date]
    item_count: Mapped[int]
    total_minor: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    debtor_name: Mapped[str]
    debtor_iban: Mapped[str]
    debtor_bic: Mapped[str]
    made_by: Mapped[str]
    maker_id: Mapped[UUID | None] = mapped_column(ForeignKey("identity_user.id"))
    made_at: Mapped[datetime]
    released_by: Mapped[str | None]
    releaser_id: Mapped[UUID | None] = mapped_column(ForeignKey("identity_user.id"))
    released_at: Mapped[datetime | None]
    cancelled_by: Mapped[str | None]
    cancelled_at: Mapped[datetime | None]
    provider_batch_id: Mapped[str | None] = mapped_column(unique=True)
    first_tried_at: Mapped[datetime | None]
    next_try_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    trouble: Mapped[str] = mapped_column(server_default=text("''"))
    sealed_file: Mapped[bytes | None] = mapped_column(deferred=True)

    @property
    def total(self) -> Money:
        return Money.from_cents(self.total_minor, self.currency)


class RunItem(Base):
    """One withdrawal in a run. It left the run if the run was cancelled or its partner held."""

    __tablename__ = "payouts_run_item"
    __table_args__ = (
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("fee_micro >= 0", name="fee"),
        Index(
            "uq_payouts_run_item_live",
            "withdrawal_id",
            unique=True,
            postgresql_where=text("left_at IS NULL"),
        ),
    )

    run_id: Mapped[UUID] = mapped_column(ForeignKey("payouts_run.id"), primary_key=True)
    withdrawal_id: Mapped[UUID] = mapped_column(
        ForeignKey("payouts_withdrawal.id"), primary_key=True
    )
    end_to_end_id: Mapped[str] = mapped_column(unique=True)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    holder: Mapped[str]
    left_at: Mapped[datetime | None]
    answer: Mapped[str] = mapped_column(server_default=text(f"'{UNKNOWN}'"))
    answered_at: Mapped[datetime | None]
    provider_item_id: Mapped[str | None]
    trouble: Mapped[str] = mapped_column(server_default=text("''"))
    contradiction: Mapped[str] = mapped_column(server_default=text("''"))
    fee_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class BankFile(Base):
    """A bank's answer as it was uploaded. Never changed."""

    __tablename__ = "payouts_bank_file"
    __table_args__ = (CheckConstraint("kind IN ('pain.002', 'camt.053')", name="kind"),)

    id: Mapped[Key]
    kind: Mapped[AnswerKind] = mapped_column(Text)
    sha256: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    body: Mapped[bytes]
    line_count: Mapped[int]
    uploaded_by: Mapped[str]
    uploaded_at: Mapped[datetime]


class BankLine(Base):
    """One line of a bank's answer, kept once however often the bank repeats it."""

    __tablename__ = "payouts_bank_line"
    __table_args__ = (
        CheckConstraint(
            "outcome IN ('applied', 'known', 'noted', 'unmatched', 'contradiction')",
            name="outcome",
        ),
        Index(
            "ix_payouts_bank_line_waiting",
            "id",
            postgresql_where=text(
                "outcome IN ('unmatched', 'contradiction') AND looked_at IS NULL"
            ),
        ),
    )

    id: Mapped[Key]
    file_id: Mapped[UUID] = mapped_column(ForeignKey("payouts_bank_file.id"), index=True)
    key: Mapped[str] = mapped_column(unique=True)
    end_to_end_id: Mapped[str]
    says: Mapped[str]
    amount_minor: Mapped[int | None] = mapped_column(BigInteger)
    currency: Mapped[str]
    booked_on: Mapped[date | None]
    reference: Mapped[str]
    reason: Mapped[str]
    withdrawal_id: Mapped[UUID | None] = mapped_column(ForeignKey("payouts_withdrawal.id"))
    outcome: Mapped[LineOutcome] = mapped_column(Text)
    looked_by: Mapped[str | None]
    looked_at: Mapped[datetime | None]
    looked_note: Mapped[str] = mapped_column(server_default=text("''"))

    @property
    def amount(self) -> Money | None:
        if self.amount_minor is None:
            return None
        return Money.from_cents(self.amount_minor, self.currency)
