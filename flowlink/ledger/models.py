"""Tables of the ledger, to read: only `ledger_post()` in the database writes them."""

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    MetaData,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base

OWNED_FROM = 1_000_000_000  # account numbers below belong to the installation


class CurrencyRow(Base):
    """A currency and its ISO 4217 number, in which every account's number ends."""

    __tablename__ = "ledger_currency"

    code: Mapped[str] = mapped_column(primary_key=True)
    number: Mapped[int] = mapped_column(unique=True)


class AccountKindRow(Base):
    """What all accounts of a kind have in common."""

    __tablename__ = "ledger_account_kind"

    kind: Mapped[str] = mapped_column(primary_key=True)
    owned: Mapped[bool]
    system: Mapped[bool]
    shards: Mapped[int]
    floor: Mapped[int | None] = mapped_column(BigInteger)
    ceiling: Mapped[int | None] = mapped_column(BigInteger)


class AccountRow(Base):
    """An account that has been opened."""

    __tablename__ = "ledger_account"
    __table_args__ = (
        UniqueConstraint("owner", "kind", "currency", name="uq_ledger_account_owner"),
    )

    number: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    kind: Mapped[str] = mapped_column(ForeignKey("ledger_account_kind.kind"))
    owner: Mapped[str]
    currency: Mapped[str] = mapped_column(ForeignKey("ledger_currency.code"))
    shards: Mapped[int]


class BalanceRow(Base):
    """The sum of an account's transfers, or of a shard's: what was credited less the debited."""

    __tablename__ = "ledger_balance"
    __table_args__ = (
        CheckConstraint("balance >= floor", name="floor"),
        CheckConstraint("balance <= ceiling", name="ceiling"),
    )

    account: Mapped[int] = mapped_column(
        BigInteger, ForeignKey("ledger_account.number"), primary_key=True
    )
    shard: Mapped[int] = mapped_column(primary_key=True)
    balance: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    floor: Mapped[int | None] = mapped_column(BigInteger)
    ceiling: Mapped[int | None] = mapped_column(BigInteger)


class EntryRow(Base):
    """One business fact: what stands in the row of its first transfer."""

    __tablename__ = "ledger_entry"
    metadata = MetaData()  # apart from the tables', which have to be what the database has

    id: Mapped[UUID] = mapped_column(primary_key=True)
    source: Mapped[str]
    kind: Mapped[str]
    effective_at: Mapped[datetime]
    at: Mapped[datetime]
    ref: Mapped[dict[str, Any]]


class TransferRow(Base):
    """One line of an entry; `number` grows in the order in which each balance moved.

    The first of an entry, and no other, also says what the entry is.
    """

    __tablename__ = "ledger_transfer"
    __table_args__ = (
        Index("uq_ledger_transfer_source", "source", unique=True, postgresql_where=text("leg = 1")),
        Index(
            "ix_ledger_transfer_debit_number",
            "debit",
            "number",
            postgresql_where=text(f"debit >= {OWNED_FROM}"),
        ),
        Index(
            "ix_ledger_transfer_credit_number",
            "credit",
            "number",
            postgresql_where=text(f"credit >= {OWNED_FROM}"),
        ),
        CheckConstraint(
            "amount > 0 AND debit <> credit AND debit % 1000 = credit % 1000", name="shape"
        ),
        CheckConstraint(
            "source <> '' AND num_nulls(source, kind, at, effective_at, ref)"
            " = CASE leg WHEN 1 THEN 0 ELSE 5 END",
            name="entry",
        ),
    )

    number: Mapped[int] = mapped_column(BigInteger)
    entry_id: Mapped[UUID] = mapped_column(primary_key=True)
    debit: Mapped[int] = mapped_column(BigInteger)
    credit: Mapped[int] = mapped_column(BigInteger)
    amount: Mapped[int] = mapped_column(BigInteger)
    debit_after: Mapped[int] = mapped_column(BigInteger)
    credit_after: Mapped[int] = mapped_column(BigInteger)
    at: Mapped[datetime | None]
    effective_at: Mapped[datetime | None]
    debit_shard: Mapped[int] = mapped_column(SmallInteger)
    credit_shard: Mapped[int] = mapped_column(SmallInteger)
    leg: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    code: Mapped[str]
    kind: Mapped[str | None]
    source: Mapped[str | None]
    ref: Mapped[dict[str, Any] | None]


class PostingRuleRow(Base):
    """Which kinds of accounts a code may join."""

    __tablename__ = "ledger_posting_rule"

    code: Mapped[str] = mapped_column(primary_key=True)
    debits: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    credits: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
