"""Tables of offers, links, clicks, postbacks and conversions. Counts of clicks are in `rollups`.

Clicks carry the small numbers of link and partner, not their keys: a row takes 64 bytes.
"""

from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key
from flowlink.kernel.money import Money

_ZERO = text("0")
_WAITING = text("result IN ('received', 'orphan')")
_STATUSES = "status IN ('pending', 'approved', 'rejected', 'reversed')"


class Mode(StrEnum):
    CPC = "cpc"
    REVSHARE = "revshare"


class AmountUnit(StrEnum):
    UNITS = "units"
    CENTS = "cents"


class Status(StrEnum):
    """What a network says of a conversion."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    REVERSED = "reversed"


class Result(StrEnum):
    """What became of a postback."""

    RECEIVED = "received"
    OK = "ok"
    DUPLICATE = "duplicate"
    ORPHAN = "orphan"
    QUARANTINED = "quarantined"
    REJECTED = "rejected"


class Reason(IntEnum):
    """Why a click never pays; stored with it. A valid one has none."""

    VALID = 0
    BOT = 1
    PREFETCH = 2
    HEAD = 3
    DUPLICATE = 4


class Stop(StrEnum):
    """Why a cpc offer pays no clicks now, as far as the offer itself tells."""

    PAUSED = "paused"
    NOT_STARTED = "not_started"
    ENDED = "ended"
    BUDGET = "budget"


class Network(Base):
    """Who sends the conversions, and how they say it. A network is data, not code."""

    __tablename__ = "tracking_network"
    __table_args__ = (
        CheckConstraint("amount_unit IN ('units', 'cents')", name="amount_unit"),
        CheckConstraint(_STATUSES.replace("status", "default_status"), name="default_status"),
        CheckConstraint("lookback_days > 0", name="lookback_days"),
        CheckConstraint("(old_key_digest IS NULL) = (old_key_until IS NULL)", name="old_key"),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(Text, unique=True)
    click_param: Mapped[str] = mapped_column(Text)
    fields: Mapped[dict[str, str]] = mapped_column(JSONB)
    statuses: Mapped[dict[str, str]] = mapped_column(JSONB)
    default_status: Mapped[Status | None] = mapped_column(Text)
    amount_unit: Mapped[AmountUnit] = mapped_column(Text)
    fixed_currency: Mapped[str | None] = mapped_column(Text)
    key_sealed: Mapped[bytes]
    key_digest: Mapped[bytes] = mapped_column(unique=True)
    old_key_digest: Mapped[bytes | None] = mapped_column(unique=True)
    old_key_until: Mapped[datetime | None]
    preset: Mapped[str | None] = mapped_column(Text)
    addresses: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    rebill: Mapped[bool] = mapped_column(server_default=text("false"))
    lookback_days: Mapped[int] = mapped_column(server_default=text("90"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime]


class Offer(Base):
    """What partners can promote, where it leads, and what it pays: the terms in force now."""

    __tablename__ = "tracking_offer"
    __table_args__ = (
        CheckConstraint("mode IN ('cpc', 'revshare')", name="mode"),
        CheckConstraint("share_bps BETWEEN 0 AND 10000", name="share"),
        CheckConstraint("(mode = 'cpc') = (cpc_micro IS NOT NULL) AND cpc_micro > 0", name="cpc"),
        CheckConstraint(
            "cap_total_micro >= 0 AND cap_daily_micro >= 0 AND cap_partner_daily_micro >= 0",
            name="caps",
        ),
        CheckConstraint("starts_at < ends_at", name="term"),
    )

    id: Mapped[Key]
    name: Mapped[str] = mapped_column(Text, unique=True)
    network_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_network.id"), index=True)
    mode: Mapped[Mode] = mapped_column(Text)
    destination: Mapped[str] = mapped_column(Text)
    share_bps: Mapped[int | None]
    cpc_micro: Mapped[int | None] = mapped_column(BigInteger)
    cap_total_micro: Mapped[int | None] = mapped_column(BigInteger)
    cap_daily_micro: Mapped[int | None] = mapped_column(BigInteger)
    cap_partner_daily_micro: Mapped[int | None] = mapped_column(BigInteger)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    currency: Mapped[str] = mapped_column(Text, server_default=text("'EUR'"))
    allowed_hosts: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    version: Mapped[int] = mapped_column(server_default=text("1"))
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime]


class OfferVersion(Base):
    """An offer's terms from one moment until the next version's. Rows are added, never changed."""

    __tablename__ = "tracking_offer_version"
    __table_args__ = (
        UniqueConstraint("offer_id", "in_force_at", name="uq_tracking_offer_version_in_force"),
    )

    offer_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_offer.id"), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    in_force_at: Mapped[datetime]
    mode: Mapped[Mode] = mapped_column(Text)
    destination: Mapped[str] = mapped_column(Text)
    share_bps: Mapped[int | None]
    cpc_micro: Mapped[int | None] = mapped_column(BigInteger)
    cap_total_micro: Mapped[int | None] = mapped_column(BigInteger)
    cap_daily_micro: Mapped[int | None] = mapped_column(BigInteger)
    cap_partner_daily_micro: Mapped[int | None] = mapped_column(BigInteger)
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    allowed_hosts: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    active: Mapped[bool]
    actor: Mapped[str]


class Domain(Base):
    """A host of its own for short links. Its links have a namespace of their own."""

    __tablename__ = "tracking_domain"

    id: Mapped[Key]
    host: Mapped[str] = mapped_column(Text, unique=True)
    active: Mapped[bool] = mapped_column(server_default=text("true"))
    created_at: Mapped[datetime]


class Link(Base):
    """A partner's short address of an offer. `number` is the small name that clicks carry.

    Without `domain_id` it is on our own host. `routing` is what `routing.Routing` writes.
    """

    __tablename__ = "tracking_link"
    __table_args__ = (
        Index("ix_tracking_link_partner_id_id", "partner_id", "id"),
        UniqueConstraint(
            "code", "domain_id", name="uq_tracking_link_code", postgresql_nulls_not_distinct=True
        ),
    )

    id: Mapped[Key]
    number: Mapped[int] = mapped_column(BigInteger, Identity(always=True), unique=True)
    code: Mapped[str] = mapped_column(Text)
    domain_id: Mapped[UUID | None] = mapped_column(ForeignKey("tracking_domain.id"), index=True)
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_offer.id"), index=True)
    destination: Mapped[str | None] = mapped_column(Text)
    own_content: Mapped[bool] = mapped_column(server_default=text("false"))
    routing: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    note: Mapped[str] = mapped_column(Text, server_default=text("''"))
    tags: Mapped[list[str]] = mapped_column(ARRAY(Text), server_default=text("'{}'"))
    expires_at: Mapped[datetime | None]
    disabled_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Conversion(Base):
    """What we believe of one sale; every change of mind is a revision.

    `said_micro`: the amount that its network said last, where a person has set another one since.
    `changed_at`, `approved_at`, `rejected_at`: of which moments the network's word that counts, its
    first approval and its last rejection are, where it says so.
    """

    __tablename__ = "tracking_conversion"
    __table_args__ = (
        CheckConstraint(_STATUSES, name="status"),
        CheckConstraint("amount_micro >= 0", name="amount"),
        CheckConstraint("said_micro >= 0", name="said"),
        CheckConstraint("share_bps BETWEEN 0 AND 10000", name="share"),
        Index("ix_tracking_conversion_partner_id_id", "partner_id", "id"),
    )

    id: Mapped[Key]
    network_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_network.id"))
    dedupe_key: Mapped[str] = mapped_column(Text, unique=True)
    txn_id: Mapped[str | None] = mapped_column(Text)
    goal: Mapped[str] = mapped_column(Text, server_default=text("''"))
    click_id: Mapped[int | None] = mapped_column(BigInteger, index=True)
    link_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_link.id"), index=True)
    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    offer_id: Mapped[UUID] = mapped_column(ForeignKey("tracking_offer.id"))
    offer_version: Mapped[int]
    share_bps: Mapped[int]
    status: Mapped[Status] = mapped_column(Text)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    said_micro: Mapped[int | None] = mapped_column(BigInteger)
    changed_at: Mapped[datetime | None]
    approved_at: Mapped[datetime | None]
    rejected_at: Mapped[datetime | None]
    currency: Mapped[str] = mapped_column(Text)
    revision: Mapped[int]
    occurred_at: Mapped[datetime] = mapped_column(index=True)
    updated_at: Mapped[datetime]

    @property
    def amount(self) -> Money:
        return Money(self.amount_micro, self.currency)


class ConversionRevision(Base):
    """What the conversion became at one step. Rows are added, never changed."""

    __tablename__ = "tracking_conversion_revision"
    __table_args__ = (
        CheckConstraint(_STATUSES, name="status"),
        CheckConstraint("amount_micro >= 0", name="amount"),
    )

    conversion_id: Mapped[UUID] = mapped_column(
        ForeignKey("tracking_conversion.id"), primary_key=True
    )
    revision: Mapped[int] = mapped_column(primary_key=True)
    status: Mapped[Status] = mapped_column(Text)
    amount_micro: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime] = mapped_column(index=True)


class Postback(Base):
    """What a network sent, as it came (its key taken out), and what became of it.

    `word` is a status word that its map did not know; `happened_at` is what a report says.
    """

    __tablename__ = "tracking_postback"
    __table_args__ = (
        CheckConstraint(
            "result IN ('received', 'ok', 'duplicate', 'orphan', 'quarantined', 'rejected')",
            name="result",
        ),
        Index("ix_tracking_postback_waiting", "id", postgresql_where=_WAITING),
        Index("ix_tracking_postback_unread", "id", postgresql_where=text("result = 'received'")),
        Index("ix_tracking_postback_strangers", "id", postgresql_where=text("NOT key_ok")),
        Index("ix_tracking_postback_network_id_id", "network_id", "id"),
        Index(
            "ix_tracking_postback_quarantine",
            "network_id",
            "word",
            "id",
            postgresql_where=text("result = 'quarantined'"),
        ),
    )

    id: Mapped[Key]
    received_at: Mapped[datetime]
    method: Mapped[str] = mapped_column(Text)
    query: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    body: Mapped[bytes]
    address: Mapped[str] = mapped_column(Text)
    network_id: Mapped[UUID | None] = mapped_column(ForeignKey("tracking_network.id"))
    key_ok: Mapped[bool]
    result: Mapped[Result] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)
    conversion_id: Mapped[UUID | None] = mapped_column(
        ForeignKey("tracking_conversion.id"), index=True
    )
    revision: Mapped[int | None]
    handled_at: Mapped[datetime | None]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    word: Mapped[str | None] = mapped_column(Text)
    happened_at: Mapped[datetime | None]

    @property
    def at(self) -> datetime:
        """When the network says it happened, else when it told us."""
        return self.happened_at or self.received_at


class Salt(Base):
    """The day's secret that turns visitors into hashes. Thrown away two days later."""

    __tablename__ = "tracking_salt"

    day: Mapped[date] = mapped_column(primary_key=True)
    salt: Mapped[bytes]


class Agent(Base):
    """A user agent, written once, with the kind of device that it speaks of."""

    __tablename__ = "tracking_agent"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    text: Mapped[str] = mapped_column(Text, unique=True)
    device: Mapped[int] = mapped_column(SmallInteger, server_default=_ZERO)


class Referrer(Base):
    """The host of a page that links to us, written once."""

    __tablename__ = "tracking_referrer"

    id: Mapped[int] = mapped_column(Identity(always=True), primary_key=True)
    host: Mapped[str] = mapped_column(Text, unique=True)


class Click(Base):
    """One click, on its day's partition. `id` carries the moment; `visitor` is a salted hash."""

    __tablename__ = "tracking_click"
    __table_args__ = (
        Index("ix_tracking_click_id", "id", postgresql_using="brin"),
        {"postgresql_partition_by": "RANGE (id)"},
    )

    id: Mapped[int] = mapped_column(BigInteger)
    visitor: Mapped[int] = mapped_column(BigInteger)
    link: Mapped[int] = mapped_column(BigInteger)
    partner: Mapped[int]
    agent: Mapped[int]
    referrer: Mapped[int]
    reason: Mapped[int] = mapped_column(SmallInteger)
    country: Mapped[int] = mapped_column(SmallInteger, server_default=_ZERO)
    origin: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))  # see `origins`

    # No unique index: ids are unique by construction, and an index would cost a third of the row.
    __mapper_args__ = {"primary_key": [id]}  # noqa: RUF012, A003


class Seen(Base):
    """Who clicked what today: the second click of a visitor on a link is a duplicate.

    Its four partitions are the slots of `click_batch.visitor_keys`, each emptied in its turn.
    """

    __tablename__ = "tracking_seen"
    __table_args__ = ({"postgresql_partition_by": "RANGE (key)"},)

    key: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
