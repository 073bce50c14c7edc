"""The table of clicks whose money waits for a person."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key
from flowlink.kernel.money import Money


class Waiting(Base):
    """Watched clicks of an hour: neither paid nor refused. Settled once, by an accrual."""

    __tablename__ = "payouts_waiting"
    __table_args__ = (
        ForeignKeyConstraint(
            ["offer_id", "version"],
            ["tracking_offer_version.offer_id", "tracking_offer_version.version"],
            name="fk_payouts_waiting_version",
        ),
        CheckConstraint("cardinality(click_ids) > 0 AND price_micro > 0", name="clicks"),
        CheckConstraint("(accrual_id IS NULL) = (settled_at IS NULL)", name="settled"),
        Index("ix_payouts_waiting_partner_id_hour", "partner_id", "hour"),
        Index("ix_payouts_waiting_open", "id", postgresql_where=text("settled_at IS NULL")),
    )

    id: Mapped[Key]
    watch_id: Mapped[UUID] = mapped_column(ForeignKey("risk_watch.id"), index=True)
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    offer_id: Mapped[UUID]
    version: Mapped[int]
    terms_id: Mapped[UUID] = mapped_column(ForeignKey("payouts_terms.id"))
    hour: Mapped[datetime]
    currency: Mapped[str] = mapped_column(Text)
    price_micro: Mapped[int] = mapped_column(BigInteger)
    click_ids: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    since: Mapped[datetime]
    accrual_id: Mapped[UUID | None] = mapped_column(ForeignKey("payouts_accrual.id"))
    settled_at: Mapped[datetime | None]

    @property
    def amount(self) -> Money:
        """The most that it can bring."""
        return Money(self.price_micro * len(self.click_ids), self.currency)
