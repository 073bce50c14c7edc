"""Tables of Stripe's names for our things: who pays, what is charged, how far we have listed."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Index, SmallInteger, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base

PAGE, AWAY = "page", "away"


class StripePayer(Base):
    """A customer at Stripe, and what to charge while they are away.

    `method_at` is when the payment was made that `method_id` comes from: the latest counts.
    """

    __tablename__ = "billing_stripe_payer"
    __table_args__ = (CheckConstraint("(method_id = '') = (method_at IS NULL)", name="method"),)

    payer: Mapped[str] = mapped_column(Text, primary_key=True)
    customer_id: Mapped[str] = mapped_column(Text)
    method_id: Mapped[str] = mapped_column(Text, server_default=text("''"))
    method_at: Mapped[datetime | None]
    made_at: Mapped[datetime]


class StripeCharge(Base):
    """A charge by our name for it, as it was first ordered: a repeated request says the same.

    `kind`: paid on Stripe's page, or charged while the customer is away. `number` counts what
    has to be asked under another key: a page that ran out, an answer that was an error. Once
    `closed_at` is set, nothing is begun under this name any more.
    """

    __tablename__ = "billing_stripe_charge"
    __table_args__ = (
        CheckConstraint("kind IN ('page', 'away')", name="kind"),
        CheckConstraint("amount_minor > 0 OR closed_at IS NOT NULL", name="amount"),
        CheckConstraint("session_id = '' OR kind = 'page'", name="session"),
        Index(
            "uq_billing_stripe_charge_intent_id",
            "intent_id",
            unique=True,
            postgresql_where=text("intent_id <> ''"),
        ),
        Index(
            "uq_billing_stripe_charge_session_id",
            "session_id",
            unique=True,
            postgresql_where=text("session_id <> ''"),
        ),
    )

    ref: Mapped[str] = mapped_column(Text, primary_key=True)
    payer: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    back_url: Mapped[str] = mapped_column(Text)
    number: Mapped[int] = mapped_column(server_default=text("1"))
    session_id: Mapped[str] = mapped_column(Text, server_default=text("''"))
    intent_id: Mapped[str] = mapped_column(Text, server_default=text("''"))
    closed_at: Mapped[datetime | None]
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class StripeListing(Base):
    """Up to when Stripe's own list of events was read."""

    __tablename__ = "billing_stripe_listing"
    __table_args__ = (CheckConstraint("id = 1", name="one"),)

    id: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    listed_until: Mapped[datetime]
