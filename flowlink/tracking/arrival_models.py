"""Tables of what our own products sell through partners' links: who came, and what they became."""

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base


class Arrival(Base):
    """A click that brought somebody who has an account here."""

    __tablename__ = "tracking_arrival"

    user_id: Mapped[UUID] = mapped_column(ForeignKey("identity_user.id"), primary_key=True)
    click_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    link_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_link.id"))
    token: Mapped[str] = mapped_column(Text)
    clicked_at: Mapped[datetime]
    kept_at: Mapped[datetime]


class Customer(Base):
    """A customer of ours that a partner's link brought: decided once, when they begin.

    `customer` is the public name that the selling side has for them: `team_…`.
    """

    __tablename__ = "tracking_customer"

    customer: Mapped[str] = mapped_column(Text, primary_key=True)
    network_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_network.id"))
    link_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_link.id"))
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"), index=True)
    token: Mapped[str] = mapped_column(Text)
    clicked_at: Mapped[datetime]
    created_at: Mapped[datetime]
