"""What a ledger entry's `source` stands for: the records that its money came from."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.partners.models import Partner
from flowlink.payouts import queries as payouts
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.queries import UnknownWithdrawal, WithdrawalLine
from flowlink.tracking import clickid
from flowlink.tracking.models import Conversion, Link, Postback


@dataclass(frozen=True)
class Origin:
    """The records behind an entry; what does not apply is empty."""

    partner: Partner | None = None
    email: str = ""
    conversion: Conversion | None = None
    link: Link | None = None
    clicked_at: datetime | None = None
    withdrawal: WithdrawalLine | None = None
    postbacks: Sequence[Postback] = field(default_factory=tuple)


def origin(session: Session, source: str) -> Origin:
    """The records that `source` names. One that names none, such as a correction, is all empty."""
    word, _, rest = source.partition(":")
    key = as_key(rest.partition(":")[0])
    if key is None:
        return Origin()
    if word == "conversion":
        return _of_conversion(session, key)
    if word == "withdrawal":
        return _of_withdrawal(session, key)
    return _of_partner(session, key) if word in {"release", "clicks"} else Origin()


def as_key(written: str) -> UUID | None:
    """The key in this part of a source, if there is one."""
    try:
        return UUID(written)
    except ValueError:
        return None


def _of_conversion(session: Session, key: UUID) -> Origin:
    conversion = session.get(Conversion, key)
    if conversion is None:
        return Origin()
    partner, email = _person(session, conversion.partner_id)
    mine = select(Postback).where(Postback.conversion_id == key).order_by(Postback.id)
    return Origin(
        partner=partner,
        email=email,
        conversion=conversion,
        link=session.get(Link, conversion.link_id),
        clicked_at=clickid.at(conversion.click_id) if conversion.click_id else None,
        postbacks=session.scalars(mine).all(),
    )


def _of_withdrawal(session: Session, key: UUID) -> Origin:
    try:
        withdrawal = payouts.withdrawal(session, WithdrawalId(key))
    except UnknownWithdrawal:
        return Origin()
    partner, email = _person(session, withdrawal.partner_id)
    return Origin(partner=partner, email=email, withdrawal=withdrawal)


def _of_partner(session: Session, key: UUID) -> Origin:
    partner, email = _person(session, key)
    return Origin(partner=partner, email=email)


def _person(session: Session, partner_id: UUID) -> tuple[Partner | None, str]:
    rows = select(Partner, User.email).join(User, User.id == Partner.user_id)
    found = session.execute(rows.where(Partner.id == partner_id)).one_or_none()
    return (found[0], found[1]) if found else (None, "")
