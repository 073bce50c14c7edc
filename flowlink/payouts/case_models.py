"""Tables of what is argued about: disputed sales, rewards for bringing partners, and cases."""

from datetime import date, datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key
from flowlink.kernel.money import Money


class DisputeState(StrEnum):
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class CaseState(StrEnum):
    OPEN = "open"
    ACCEPTED = "accepted"
    DECLINED = "declined"
    WITHDRAWN = "withdrawn"


class Dispute(Base):
    """A buyer contests a sale. `held_micro` is what lies in `held` for it at the moment."""

    __tablename__ = "payouts_dispute"
    __table_args__ = (
        CheckConstraint("reference <> ''", name="reference"),
        CheckConstraint("state IN ('open', 'won', 'lost')", name="state"),
        CheckConstraint(
            "held_micro BETWEEN 0 AND amount_micro AND (state = 'open' OR held_micro = 0)",
            name="held",
        ),
        CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)"
            " AND (decided_at IS NULL) = (decided_by IS NULL)",
            name="decided",
        ),
        UniqueConstraint("conversion_id", "reference", name="uq_payouts_dispute_conversion_id"),
        Index(
            "uq_payouts_dispute_open",
            "conversion_id",
            unique=True,
            postgresql_where=text("state = 'open'"),
        ),
        Index("ix_payouts_dispute_partner_id_id", "partner_id", "id"),
    )

    id: Mapped[Key]
    conversion_id: Mapped[UUID] = mapped_column(ForeignKey("payouts_commission.conversion_id"))
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    currency: Mapped[str] = mapped_column(Text)
    reference: Mapped[str] = mapped_column(Text)
    state: Mapped[DisputeState] = mapped_column(Text)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    held_micro: Mapped[int] = mapped_column(BigInteger)
    opened_by: Mapped[str] = mapped_column(Text)
    opened_at: Mapped[datetime]
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]

    @property
    def held(self) -> Money:
        return Money(self.held_micro, self.currency)

    @property
    def amount(self) -> Money:
        return Money(self.amount_micro, self.currency)

    def lose(self, *, actor: str, now: datetime) -> None:
        """The sale is taken back; all that was set apart for it has gone."""
        assert not self.held_micro, "what is set apart goes back first"
        self.state, self.decided_by, self.decided_at = DisputeState.LOST, actor, now


class DisputeShare(Base):
    """What a dispute took out of a reserve lot when it was opened. Never changed."""

    __tablename__ = "payouts_dispute_share"
    __table_args__ = (CheckConstraint("amount_micro > 0", name="amount"),)

    dispute_id: Mapped[UUID] = mapped_column(ForeignKey("payouts_dispute.id"), primary_key=True)
    lot_id: Mapped[UUID] = mapped_column(
        ForeignKey("payouts_reserve_lot.id"), primary_key=True, index=True
    )
    amount_micro: Mapped[int] = mapped_column(BigInteger)


class Reward(Base):
    """What bringing a partner has brought so far, of one commission or one accrual of theirs."""

    __tablename__ = "payouts_reward"
    __table_args__ = (
        CheckConstraint("num_nonnulls(conversion_id, accrual_id) = 1", name="subject"),
        CheckConstraint("amount_micro BETWEEN 0 AND base_micro", name="amount"),
        Index("ix_payouts_reward_referrer_id_id", "referrer_id", "id"),
    )

    id: Mapped[Key]
    conversion_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("payouts_commission.conversion_id"), unique=True
    )
    accrual_id: Mapped[UUID | None] = mapped_column(ForeignKey("payouts_accrual.id"), unique=True)
    referrer_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    referred_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    currency: Mapped[str] = mapped_column(Text)
    base_micro: Mapped[int] = mapped_column(BigInteger)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    step: Mapped[int]
    updated_at: Mapped[datetime]


class Case(Base):
    """A partner misses a conversion. `trail` is what we knew when they said so."""

    __tablename__ = "payouts_case"
    __table_args__ = (
        CheckConstraint("state IN ('open', 'accepted', 'declined', 'withdrawn')", name="state"),
        CheckConstraint("claimed_micro > 0 AND story <> ''", name="claimed"),
        CheckConstraint(
            "(state = 'open') = (decided_at IS NULL)"
            " AND (decided_at IS NULL) = (decided_by IS NULL)"
            " AND (state IN ('open', 'withdrawn') OR answer <> '')",
            name="decided",
        ),
        CheckConstraint(
            "(state = 'accepted') = (granted_micro IS NOT NULL)"
            " AND (state = 'accepted') = (entry_id IS NOT NULL) AND granted_micro > 0",
            name="granted",
        ),
        UniqueConstraint("partner_id", "once", name="uq_payouts_case_partner_id"),
        Index("ix_payouts_case_partner_id_id", "partner_id", "id"),
        Index("ix_payouts_case_open", "id", postgresql_where=text("state = 'open'")),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    link_id: Mapped[UUID | None] = mapped_column(ForeignKey("tracking_link.id"))
    click: Mapped[str] = mapped_column(Text, server_default=text("''"))
    happened_on: Mapped[date]
    claimed_micro: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text, server_default=text("'EUR'"))
    order_reference: Mapped[str] = mapped_column(Text, server_default=text("''"))
    story: Mapped[str] = mapped_column(Text)
    trail: Mapped[dict[str, Any]] = mapped_column(JSONB)
    state: Mapped[CaseState] = mapped_column(Text)
    granted_micro: Mapped[int | None] = mapped_column(BigInteger)
    answer: Mapped[str] = mapped_column(Text, server_default=text("''"))
    once: Mapped[str | None] = mapped_column(Text)
    entry_id: Mapped[UUID | None]
    decided_by: Mapped[str | None] = mapped_column(Text)
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime]

    @property
    def claimed(self) -> Money:
        return Money(self.claimed_micro, self.currency)

    @property
    def granted(self) -> Money | None:
        return None if self.granted_micro is None else Money(self.granted_micro, self.currency)
