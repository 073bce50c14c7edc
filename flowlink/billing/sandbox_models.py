"""Tables of the sandbox: what a real provider would keep on its own machines."""

from datetime import datetime

from sqlalchemy import BigInteger, CheckConstraint, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base


class SandboxCharge(Base):
    """One charge under the name that we gave it."""

    __tablename__ = "billing_sandbox_charge"
    __table_args__ = (
        CheckConstraint("status IN ('open', 'action', 'paid', 'failed', 'closed')", name="status"),
        CheckConstraint("refunded_minor BETWEEN 0 AND amount_minor", name="refunded"),
    )

    ref: Mapped[str] = mapped_column(Text, primary_key=True)
    payer: Mapped[str] = mapped_column(Text)
    amount_minor: Mapped[int] = mapped_column(BigInteger)
    currency: Mapped[str] = mapped_column(Text)
    title: Mapped[str] = mapped_column(Text)
    back_url: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    card: Mapped[str] = mapped_column(Text, server_default=text("''"))
    failure: Mapped[str] = mapped_column(Text, server_default=text("''"))
    refunded_minor: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    dispute: Mapped[str] = mapped_column(Text, server_default=text("'none'"))
    made_at: Mapped[datetime]
    changed_at: Mapped[datetime]


class SandboxPayer(Base):
    """A customer and the card to charge while they are away."""

    __tablename__ = "billing_sandbox_payer"

    payer: Mapped[str] = mapped_column(Text, primary_key=True)
    card: Mapped[str] = mapped_column(Text)
    kept_at: Mapped[datetime]
