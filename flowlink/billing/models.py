"""Tables of billing: what a team has bought, for when, and what it paid."""

from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Index, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key
from flowlink.kernel.money import Money

PLAN = "plan"
_KINDS = "kind IN ('plan', 'ram', 'cpu', 'traffic', 'storage')"
_STATES = (
    "status IN ('pending', 'active', 'renewing', 'past_due', 'expired', 'cancelled', 'voided')"
)
_LIVE = "status IN ('active', 'renewing', 'past_due')"


class Status(StrEnum):
    """Where a resource is on its way; the module's docstring has the table."""

    PENDING = "pending"
    ACTIVE = "active"
    RENEWING = "renewing"
    PAST_DUE = "past_due"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    VOIDED = "voided"


LEAD = timedelta(hours=3)
"""How long before a period ends its next one is charged: no page names a later moment."""

LIVE = (Status.ACTIVE, Status.RENEWING, Status.PAST_DUE)


class Paid(StrEnum):
    """Where a payment is on its way."""

    PENDING = "pending"
    PAID = "paid"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Purpose(StrEnum):
    """What a payment is for."""

    PURCHASE = "purchase"
    RENEWAL = "renewal"
    MORE = "more"


class Dispute(StrEnum):
    """Whether the customer's bank wants a payment back."""

    NONE = "none"
    OPEN = "open"
    WON = "won"
    LOST = "lost"


class Pricing(Base):
    """A price list that something was bought from, by its content."""

    __tablename__ = "billing_pricing"

    digest: Mapped[str] = mapped_column(Text, primary_key=True)
    specs: Mapped[dict[str, Any]] = mapped_column(JSONB)
    seen_at: Mapped[datetime]


class Resource(Base):
    """What a team buys: its plan, or an add-on. Price and size of one piece stay as bought.

    `expires_at`: the end of what is paid; None while pending, and for a plan given without end.
    `grace_until`: until when limits stay after a failed renewal.
    """

    __tablename__ = "billing_resource"
    __table_args__ = (
        CheckConstraint(_KINDS, name="kind"),
        CheckConstraint(_STATES, name="status"),
        CheckConstraint("(kind = 'plan') = (plan <> '')", name="plan"),
        CheckConstraint("quantity > 0 AND next_quantity > 0", name="quantity"),
        CheckConstraint("unit_price_minor >= 0", name="price"),
        CheckConstraint(
            "kind = 'plan' OR (next_terms IS NULL AND replaces_id IS NULL)", name="change"
        ),
        Index(
            "uq_billing_resource_plan",
            "team_id",
            unique=True,
            postgresql_where=text(f"kind = 'plan' AND {_LIVE}"),
        ),
        Index("ix_billing_resource_team_id_id", "team_id", "id"),
        Index("ix_billing_resource_expires_at", "expires_at", postgresql_where=text(_LIVE)),
    )

    id: Mapped[Key]
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams_team.id"))
    kind: Mapped[str] = mapped_column(Text)
    plan: Mapped[str] = mapped_column(Text)
    quantity: Mapped[int]
    next_quantity: Mapped[int]
    """From the next period on: fewer counts from then."""
    unit_price_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    pricing: Mapped[str] = mapped_column(ForeignKey("billing_pricing.digest"))
    cpu_cores: Mapped[int]
    memory_mb: Mapped[int]
    traffic_gb: Mapped[int]
    storage_mb: Mapped[int]
    status: Mapped[Status] = mapped_column(Text)
    auto_renew: Mapped[bool]
    created_at: Mapped[datetime]
    activated_at: Mapped[datetime | None]
    expires_at: Mapped[datetime | None]
    failed_at: Mapped[datetime | None]
    grace_until: Mapped[datetime | None]
    cancelled_at: Mapped[datetime | None]
    next_terms: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    """Of a plan that becomes a smaller one with its next period: what that is, as chosen."""
    replaces_id: Mapped[UUID | None] = mapped_column(ForeignKey("billing_resource.id"))
    """The smaller plan whose place a plan takes within its period, for the difference."""

    @property
    def unit_price(self) -> Money:
        return Money.from_cents(self.unit_price_minor, self.currency)

    @property
    def next_price(self) -> Money:
        """Of its next period."""
        of_one = (self.next_terms or {}).get("unit_price_minor", self.unit_price_minor)
        return Money.from_cents(of_one * self.next_quantity, self.currency)

    @property
    def next_plan(self) -> str:
        """From its next period on."""
        return str((self.next_terms or {}).get("plan", self.plan))

    @property
    def next_charge_at(self) -> datetime | None:
        """Before this nothing is charged for its next period; None for one without end."""
        return None if self.expires_at is None else self.expires_at - LEAD


class Payment(Base):
    """One charge: for a period of a resource, or for more of it until its period ends.

    `attempt` names the charge at the provider; only one that surely failed gets another. Parts
    that were given back and recognised are kept here so that each is booked once.
    """

    __tablename__ = "billing_payment"
    __table_args__ = (
        CheckConstraint("purpose IN ('purchase', 'renewal', 'more')", name="purpose"),
        CheckConstraint("status IN ('pending', 'paid', 'failed', 'cancelled')", name="status"),
        CheckConstraint("dispute IN ('none', 'open', 'won', 'lost')", name="dispute"),
        CheckConstraint("amount_minor > 0 AND quantity > 0", name="amount"),
        CheckConstraint(
            "refunded_minor BETWEEN 0 AND amount_minor AND refund_asked_minor <= amount_minor",
            name="refunded",
        ),
        CheckConstraint("(status = 'paid') = (paid_at IS NOT NULL)", name="paid"),
        UniqueConstraint("team_id", "idempotency_key", name="uq_billing_payment_idempotency_key"),
        Index(
            "uq_billing_payment_period",
            "resource_id",
            "starts_at",
            unique=True,
            postgresql_where=text("purpose = 'renewal'"),
        ),
        Index("ix_billing_payment_team_id_id", "team_id", "id"),
        Index("ix_billing_payment_resource_id", "resource_id"),
        Index(
            "ix_billing_payment_pending", "created_at", postgresql_where=text("status = 'pending'")
        ),
        Index(
            "ix_billing_payment_refund",
            "id",
            postgresql_where=text("refund_asked_minor > refunded_minor"),
        ),
    )

    id: Mapped[Key]
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams_team.id"))
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("billing_resource.id"))
    purpose: Mapped[Purpose] = mapped_column(Text)
    quantity: Mapped[int]
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    provider: Mapped[str] = mapped_column(Text)
    attempt: Mapped[int] = mapped_column(server_default=text("1"))
    status: Mapped[Paid] = mapped_column(Text)
    trouble: Mapped[str] = mapped_column(Text, server_default=text("''"))
    payer: Mapped[str] = mapped_column(Text)
    idempotency_key: Mapped[str | None] = mapped_column(Text)
    fingerprint: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    tried_at: Mapped[datetime | None]
    paid_at: Mapped[datetime | None]
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    vat_case: Mapped[str] = mapped_column(Text, server_default=text("''"))
    vat_country: Mapped[str] = mapped_column(Text, server_default=text("''"))
    vat_rate_bps: Mapped[int] = mapped_column(server_default=text("0"))
    net_minor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    recognised_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    recognised_until: Mapped[datetime | None]
    undeferred_micro: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    """Given back out of what was not recognised yet."""
    refund_asked_minor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    refunded_minor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    refund_reason: Mapped[str] = mapped_column(Text, server_default=text("''"))
    dispute: Mapped[Dispute] = mapped_column(Text, server_default=text("'none'"))

    @property
    def amount(self) -> Money:
        return Money.from_cents(self.amount_minor, self.currency)

    @property
    def refunded(self) -> Money:
        return Money.from_cents(self.refunded_minor, self.currency)

    @property
    def deferred_micro(self) -> int:
        """What is left on its `deferred` account."""
        net = Money.from_cents(self.net_minor, self.currency).micro
        return net - self.recognised_micro - self.undeferred_micro


class Grant(Base):
    """Room that a team has from `starts_at` to just before `ends_at`. Never changed."""

    __tablename__ = "billing_grant"
    __table_args__ = (
        CheckConstraint(_KINDS, name="kind"),
        CheckConstraint("starts_at < ends_at", name="term"),
        CheckConstraint("reason IN ('paid', 'given', 'grace', 'rest')", name="reason"),
        CheckConstraint("(reason = 'paid') = (payment_id IS NOT NULL)", name="payment"),
        Index("uq_billing_grant_payment_id", "payment_id", unique=True),
        Index("ix_billing_grant_team_id", "team_id", "ends_at"),
        Index("ix_billing_grant_resource_id", "resource_id"),
    )

    id: Mapped[Key]
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams_team.id"))
    resource_id: Mapped[UUID] = mapped_column(ForeignKey("billing_resource.id"))
    payment_id: Mapped[UUID | None] = mapped_column(ForeignKey("billing_payment.id"))
    reason: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    plan: Mapped[str] = mapped_column(Text)
    cpu_cores: Mapped[int]
    memory_mb: Mapped[int]
    traffic_gb: Mapped[int]
    storage_mb: Mapped[int]
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class GrantVoid(Base):
    """A grant taken back from `voided_at` on: before its start, it never was."""

    __tablename__ = "billing_grant_void"
    __table_args__ = (Index("ix_billing_grant_void_team_id", "team_id"),)

    grant_id: Mapped[UUID] = mapped_column(ForeignKey("billing_grant.id"), primary_key=True)
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams_team.id"))
    voided_at: Mapped[datetime]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class Details(Base):
    """Who a team is on its invoices, from a moment on."""

    __tablename__ = "billing_details"
    __table_args__ = (Index("ix_billing_details_team_id_id", "team_id", "id"),)

    id: Mapped[Key]
    team_id: Mapped[UUID] = mapped_column(ForeignKey("teams_team.id"))
    party: Mapped[dict[str, Any]] = mapped_column(JSONB)
    created_at: Mapped[datetime]
