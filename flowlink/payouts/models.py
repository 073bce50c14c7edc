"""Tables of commissions, click earnings, their reserve, payout methods and withdrawals."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key
from flowlink.kernel.money import Money

POLICY = "policy"  # who approved it, when no person had to


class Rail(StrEnum):
    PAYPAL = "paypal"
    BANK = "bank"


class State(StrEnum):
    REQUESTED = "requested"
    APPROVED = "approved"
    REJECTED = "rejected"
    IN_RUN = "in_run"
    SENT = "sent"
    SETTLED = "settled"
    FAILED = "failed"
    RETURNED = "returned"


class Zero(StrEnum):
    """Why a valid click on a cpc offer earned nothing."""

    PAUSED = "paused"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    CAP_PARTNER_DAILY = "cap_partner_daily"
    CAP_DAILY = "cap_daily"
    CAP_TOTAL = "cap_total"
    BUDGET = "budget"
    FRAUD = "fraud"


OPEN_STATES = (State.REQUESTED, State.APPROVED, State.IN_RUN, State.SENT)

STEPS: dict[State | None, frozenset[State]] = {
    None: frozenset({State.REQUESTED}),
    State.REQUESTED: frozenset({State.APPROVED, State.REJECTED}),
    State.APPROVED: frozenset({State.REJECTED, State.IN_RUN, State.SETTLED, State.FAILED}),
    State.IN_RUN: frozenset({State.APPROVED, State.SENT}),
    State.SENT: frozenset({State.SETTLED, State.FAILED, State.RETURNED}),
    State.SETTLED: frozenset({State.RETURNED}),
}


class Commission(Base):
    """What one conversion has brought its partner so far. The share is pinned for good."""

    __tablename__ = "payouts_commission"
    __table_args__ = (
        CheckConstraint("share_bps BETWEEN 0 AND 10000", name="share_bps"),
        CheckConstraint("reserve_bps BETWEEN 0 AND 10000", name="reserve_bps"),
        CheckConstraint("share_micro BETWEEN 0 AND gross_micro", name="share"),
        CheckConstraint("pending_micro >= 0", name="pending"),
        CheckConstraint(
            "limited_by IN ('duration', 'cap_month')"
            " AND (limited_by <> 'duration' OR (share_micro = 0 AND pending_micro = 0))",
            name="limited_by",
        ),
        CheckConstraint("volume_micro >= 0", name="volume"),
        Index("ix_payouts_commission_partner_id", "partner_id", "conversion_id"),
    )

    conversion_id: Mapped[UUID] = mapped_column(
        ForeignKey("tracking_conversion.id"), primary_key=True
    )
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    currency: Mapped[str] = mapped_column(Text)
    offer_version: Mapped[int]
    share_bps: Mapped[int]
    reserve_bps: Mapped[int]
    terms_id: Mapped[UUID | None] = mapped_column(ForeignKey("payouts_terms.id"))
    release_days: Mapped[int | None]
    volume_micro: Mapped[int | None] = mapped_column(BigInteger)
    limited_by: Mapped[str | None] = mapped_column(Text)
    posted_revision: Mapped[int] = mapped_column(server_default=text("0"))
    gross_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    share_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    pending_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))


class CommissionRevision(Base):
    """That one revision of a conversion has been posted, and as which entry, if it moved money."""

    __tablename__ = "payouts_commission_revision"

    conversion_id: Mapped[UUID] = mapped_column(
        ForeignKey("payouts_commission.conversion_id"), primary_key=True
    )
    revision: Mapped[int] = mapped_column(primary_key=True)
    entry_id: Mapped[UUID | None]
    posted_at: Mapped[datetime]


class ReserveLot(Base):
    """All that is kept back for one partner until one day. Once released it stays empty."""

    __tablename__ = "payouts_reserve_lot"
    __table_args__ = (
        CheckConstraint("remaining_micro >= 0", name="remaining"),
        CheckConstraint("released_at IS NULL OR remaining_micro = 0", name="released"),
        Index(
            "uq_payouts_reserve_lot_open",
            "partner_id",
            "currency",
            "release_on",
            unique=True,
            postgresql_where=text("released_at IS NULL"),
        ),
        Index(
            "ix_payouts_reserve_lot_due", "release_on", postgresql_where=text("released_at IS NULL")
        ),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    currency: Mapped[str] = mapped_column(Text)
    release_on: Mapped[date]
    remaining_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    released_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    released_at: Mapped[datetime | None]


class ReserveShare(Base):
    """How much of a lot comes from one conversion: what a reversal may take out of it."""

    __tablename__ = "payouts_reserve_share"
    __table_args__ = (CheckConstraint("amount_micro >= 0", name="amount"),)

    conversion_id: Mapped[UUID] = mapped_column(
        ForeignKey("payouts_commission.conversion_id"), primary_key=True
    )
    lot_id: Mapped[UUID] = mapped_column(
        ForeignKey("payouts_reserve_lot.id"), primary_key=True, index=True
    )
    amount_micro: Mapped[int] = mapped_column(BigInteger)


class ClickHour(Base):
    """How many valid clicks of a partner's hour have been looked at: late ones make it differ."""

    __tablename__ = "payouts_click_hour"

    partner: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    hour: Mapped[datetime] = mapped_column(primary_key=True)
    seen: Mapped[int]


class Accrual(Base):
    """Clicks of a partner on an offer in one hour, and what they earned. Never changed.

    Clicks that were late have a `sequence` of their own, and so have those of another version.
    """

    __tablename__ = "payouts_accrual"
    __table_args__ = (
        ForeignKeyConstraint(
            ["offer_id", "version"],
            ["tracking_offer_version.offer_id", "tracking_offer_version.version"],
            name="fk_payouts_accrual_version",
        ),
        UniqueConstraint(
            "partner_id", "offer_id", "hour", "sequence", name="uq_payouts_accrual_partner_id"
        ),
        CheckConstraint(
            "price_micro > 0 AND amount_micro = price_micro * cardinality(click_ids)",
            name="amount",
        ),
        CheckConstraint(
            "reserve_micro BETWEEN 0 AND amount_micro"
            " AND (reserve_micro = 0 OR lot_id IS NOT NULL)",
            name="reserve",
        ),
        CheckConstraint("(amount_micro > 0) = (entry_id IS NOT NULL)", name="entry"),
        Index("ix_payouts_accrual_partner_id_id", "partner_id", "id"),
        Index("ix_payouts_accrual_offer_id_hour", "offer_id", "hour"),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    offer_id: Mapped[UUID]
    version: Mapped[int]
    hour: Mapped[datetime]
    sequence: Mapped[int]
    currency: Mapped[str] = mapped_column(Text)
    price_micro: Mapped[int] = mapped_column(BigInteger)
    terms_id: Mapped[UUID | None] = mapped_column(ForeignKey("payouts_terms.id"))
    click_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    reserve_micro: Mapped[int] = mapped_column(BigInteger)
    lot_id: Mapped[UUID | None] = mapped_column(ForeignKey("payouts_reserve_lot.id"), index=True)
    entry_id: Mapped[UUID | None] = mapped_column(index=True)
    posted_at: Mapped[datetime]

    @property
    def amount(self) -> Money:
        return Money(self.amount_micro, self.currency)


class AccrualZero(Base):
    """Valid clicks of an accrual that earned nothing, and why."""

    __tablename__ = "payouts_accrual_zero"
    __table_args__ = (
        CheckConstraint(
            "reason IN ('paused', 'not_started', 'ended', 'cap_partner_daily', 'cap_daily',"
            " 'cap_total', 'budget', 'fraud')",
            name="reason",
        ),
    )

    accrual_id: Mapped[UUID] = mapped_column(ForeignKey("payouts_accrual.id"), primary_key=True)
    reason: Mapped[Zero] = mapped_column(Text, primary_key=True)
    click_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))


class Method(Base):
    """Where a partner's money is sent: encrypted, shown masked, known again by its fingerprint."""

    __tablename__ = "payouts_method"
    __table_args__ = (
        CheckConstraint("rail IN ('paypal', 'bank')", name="rail"),
        UniqueConstraint("partner_id", "fingerprint"),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    rail: Mapped[Rail] = mapped_column(Text)
    sealed: Mapped[bytes]
    fingerprint: Mapped[bytes]
    masked: Mapped[str] = mapped_column(Text)
    holder: Mapped[str] = mapped_column(Text, server_default=text("''"))  # whose account it is
    settled_at: Mapped[datetime]  # from then on a withdrawal to it may be approved automatically
    used_at: Mapped[datetime]
    created_at: Mapped[datetime]


class Withdrawal(Base):
    """A partner's money on its way out."""

    __tablename__ = "payouts_withdrawal"
    __table_args__ = (
        CheckConstraint(
            "state IN ('requested', 'approved', 'rejected', 'in_run', 'sent', 'settled',"
            " 'failed', 'returned')",
            name="state",
        ),
        CheckConstraint("amount_minor > 0", name="amount"),
        CheckConstraint("approver_id <> requester_id", name="four_eyes"),
        CheckConstraint("NOT needs_person OR approved_by <> 'policy'", name="person"),
        CheckConstraint(
            "state IN ('requested', 'rejected') OR approved_by IS NOT NULL", name="approved"
        ),
        CheckConstraint("state <> 'settled' OR reference <> ''", name="reference"),
        CheckConstraint(
            "state NOT IN ('rejected', 'failed', 'returned') OR reason <> ''", name="reason"
        ),
        CheckConstraint("debt_seen_micro >= 0", name="debt_seen"),
        UniqueConstraint("partner_id", "once"),
        Index("ix_payouts_withdrawal_partner_id_id", "partner_id", "id"),
        Index(
            "ix_payouts_withdrawal_open",
            "id",
            postgresql_where=text("state IN ('requested', 'approved', 'in_run', 'sent')"),
        ),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    method_id: Mapped[UUID] = mapped_column(ForeignKey("payouts_method.id"))
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    state: Mapped[State] = mapped_column(Text)
    needs_person: Mapped[bool]
    once: Mapped[str | None] = mapped_column(Text)
    requester_id: Mapped[UUID] = mapped_column(ForeignKey("identity_user.id"))
    approved_by: Mapped[str | None] = mapped_column(Text)
    approver_id: Mapped[UUID | None] = mapped_column(ForeignKey("identity_user.id"))
    debt_seen_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    reference: Mapped[str] = mapped_column(Text, server_default=text("''"))
    reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    @property
    def amount(self) -> Money:
        return Money.from_cents(self.amount_minor, self.currency)


class WithdrawalEvent(Base):
    """One step of a withdrawal. Rows are added, never changed."""

    __tablename__ = "payouts_withdrawal_event"
    __table_args__ = (
        CheckConstraint(
            "CASE WHEN from_state IS NULL THEN to_state = 'requested' ELSE"
            " (from_state, to_state) IN (('requested', 'approved'), ('requested', 'rejected'),"
            " ('approved', 'rejected'), ('approved', 'in_run'), ('approved', 'settled'),"
            " ('approved', 'failed'), ('in_run', 'approved'), ('in_run', 'sent'),"
            " ('sent', 'settled'), ('sent', 'failed'), ('sent', 'returned'),"
            " ('settled', 'returned')) END",
            name="step",
        ),
    )

    withdrawal_id: Mapped[UUID] = mapped_column(
        ForeignKey("payouts_withdrawal.id"), primary_key=True
    )
    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    from_state: Mapped[State | None] = mapped_column(Text)
    to_state: Mapped[State] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    note: Mapped[str] = mapped_column(Text, server_default=text("''"))
    at: Mapped[datetime]
