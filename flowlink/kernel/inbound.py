"""What providers tell us, kept before anything is done about it. Any module's hooks may use it.

A provider's event comes twice, late and out of order. It is verified, then kept raw under its own
id, then answered; the worker handles it once, in its own time. Owns: kernel_provider_event.

`keep` emits `provider.event` with the provider's name: a module handles those of its own provider.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, UniqueConstraint, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from flowlink.kernel import db, events
from flowlink.kernel.db import Base, Key

TEXT_MAX = 500
_FIRST_PAUSE = timedelta(seconds=30)
_LONGEST_PAUSE = timedelta(hours=6)


class ProviderEvent(Base):
    """One event of a provider, as it came. Only what became of it is ever changed."""

    __tablename__ = "kernel_provider_event"
    __table_args__ = (
        UniqueConstraint("provider", "event_id"),
        CheckConstraint("(handled_at IS NULL) = (outcome = '')", name="outcome"),
        Index(
            "ix_kernel_provider_event_waiting",
            "provider",
            "next_try_at",
            postgresql_where=text("handled_at IS NULL"),
        ),
    )

    id: Mapped[Key]
    provider: Mapped[str]
    event_id: Mapped[str]
    kind: Mapped[str]
    body: Mapped[bytes]
    received_at: Mapped[datetime]
    copies: Mapped[int] = mapped_column(server_default=text("1"))
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    next_try_at: Mapped[datetime]
    trouble: Mapped[str] = mapped_column(server_default=text("''"))
    handled_at: Mapped[datetime | None]
    outcome: Mapped[str] = mapped_column(server_default=text("''"))


def keep(
    session: Session, *, provider: str, event_id: str, kind: str, body: bytes, now: datetime
) -> bool:
    """Keep a verified event; False when it was there before, which is only counted."""
    row = insert(ProviderEvent).values(
        provider=provider,
        event_id=event_id,
        kind=kind,
        body=body,
        received_at=now,
        next_try_at=now,
    )
    kept = row.on_conflict_do_update(
        index_elements=["provider", "event_id"], set_={"copies": ProviderEvent.copies + 1}
    ).returning(ProviderEvent.copies)
    if session.scalars(kept).one() > 1:
        return False
    events.emit(session, "provider.event", {"provider": provider})
    return True


def due(session: Session, *, provider: str, now: datetime, limit: int = 100) -> Sequence[UUID]:
    """The events that wait to be handled, the oldest first."""
    rows = select(ProviderEvent.id).where(
        ProviderEvent.provider == provider,
        ProviderEvent.handled_at.is_(None),
        ProviderEvent.next_try_at <= now,
    )
    return session.scalars(rows.order_by(ProviderEvent.id).limit(limit)).all()


def read(session: Session, event_key: UUID) -> ProviderEvent:
    """One event as it is now, without a lock: to ask the provider about it first."""
    return session.get_one(ProviderEvent, event_key)


def lock(session: Session, event_key: UUID) -> ProviderEvent | None:
    """The event, locked until the transaction ends; None once somebody has handled it."""
    (event,) = db.lock(session, ProviderEvent, ProviderEvent.id == event_key)
    return event if event.handled_at is None else None


def handled(event: ProviderEvent, *, outcome: str, now: datetime) -> None:
    """Write down what became of a locked event, in the transaction that did it."""
    event.handled_at, event.outcome = now, outcome[:TEXT_MAX]


def postpone(event: ProviderEvent, *, trouble: str, now: datetime) -> None:
    """Try a locked event again later, with growing pauses; an operator sees the trouble."""
    pause = min(_FIRST_PAUSE * (1 << min(event.tries, 10)), _LONGEST_PAUSE)
    event.tries += 1
    event.next_try_at, event.trouble = now + pause, trouble[:TEXT_MAX]
