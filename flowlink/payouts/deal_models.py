"""Tables of what was agreed beside an offer's own terms, and of the terms pinned to earnings."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, ForeignKey, Text, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class Deal(Base):
    """One version of what a group, one partner or everybody gets, on one offer or on all.

    An empty field says nothing: a less special deal, the offer or the policy answers. Rows are
    added, never changed; `ended` says that from then on nothing is agreed here.
    """

    __tablename__ = "payouts_deal"
    __table_args__ = (
        UniqueConstraint(
            "group_id",
            "partner_id",
            "offer_id",
            "version",
            name="uq_payouts_deal_scope",
            postgresql_nulls_not_distinct=True,
        ),
        CheckConstraint(
            "num_nonnulls(group_id, partner_id) <= 1"
            " AND num_nonnulls(group_id, partner_id, offer_id) >= 1",
            name="scope",
        ),
        CheckConstraint("in_force_at < until_at", name="term"),
        CheckConstraint(
            "share_bps BETWEEN 0 AND 10000 AND own_share_bps BETWEEN 0 AND 10000"
            " AND reserve_bps BETWEEN 0 AND 10000",
            name="shares",
        ),
        CheckConstraint(
            "cpc_micro > 0 AND release_days BETWEEN 0 AND 3650 AND cap_day_micro >= 0"
            " AND cap_month_micro >= 0 AND months BETWEEN 0 AND 600",
            name="numbers",
        ),
        CheckConstraint("reason <> ''", name="reason"),
    )

    id: Mapped[Key]
    group_id: Mapped[UUID | None] = mapped_column(ForeignKey("partners_group.id"))
    partner_id: Mapped[UUID | None] = mapped_column(ForeignKey("partners_partner.id"), index=True)
    offer_id: Mapped[UUID | None] = mapped_column(ForeignKey("tracking_offer.id"), index=True)
    version: Mapped[int]
    in_force_at: Mapped[datetime]
    until_at: Mapped[datetime | None]
    ended: Mapped[bool] = mapped_column(server_default=text("false"))
    share_bps: Mapped[int | None]
    own_share_bps: Mapped[int | None]
    cpc_micro: Mapped[int | None] = mapped_column(BigInteger)
    reserve_bps: Mapped[int | None]
    release_days: Mapped[int | None]
    cap_day_micro: Mapped[int | None] = mapped_column(BigInteger)
    cap_month_micro: Mapped[int | None] = mapped_column(BigInteger)
    months: Mapped[int | None]
    tiers: Mapped[list[dict[str, int]]] = mapped_column(JSONB, server_default=text("'[]'"))
    marginal: Mapped[bool] = mapped_column(server_default=text("false"))
    reason: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]


class PinnedTerms(Base):
    """Terms under which something was earned, written once for all that share them."""

    __tablename__ = "payouts_terms"

    id: Mapped[Key]
    digest: Mapped[bytes] = mapped_column(unique=True)
    body: Mapped[dict[str, Any]] = mapped_column(JSONB)
