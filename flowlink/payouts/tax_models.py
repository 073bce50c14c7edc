"""Tables of what tax offices want to know of partners. Versions are added, never changed."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class TaxProfile(Base):
    """A partner's side of their papers, from a moment on; the last one counts.

    `sealed` holds tax number and birth date, encrypted. `mandate_version` names the text by which
    the partner lets us write invoices in their name (directive 2006/112/EC, art. 224).
    """

    __tablename__ = "payouts_tax_profile"
    __table_args__ = (
        CheckConstraint("(mandate_version = '') = (mandate_at IS NULL)", name="mandate"),
        Index("ix_payouts_tax_profile_partner_id_id", "partner_id", "id"),
    )

    id: Mapped[Key]
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    party: Mapped[dict[str, Any]] = mapped_column(JSONB)
    sealed: Mapped[bytes]
    mandate_version: Mapped[str] = mapped_column(Text)
    mandate_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
