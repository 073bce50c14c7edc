"""Partners who bring partners: who brought whom, for which share and how long.

The share comes out of the house's own part, never out of the newcomer's. Nobody brings themselves:
the same mailbox is refused when joining, the same payout details when there is money to pay.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel.errors import Refused
from flowlink.kernel.policy import Policy
from flowlink.partners import queries
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.partners.onboarding_models import Referral, Void

MONTHS_MAX = 600
_DOTS_DO_NOT_COUNT = {"gmail.com", "googlemail.com"}


class SelfReferral(Refused):
    message = "Nobody can bring themselves. You can join without this invitation."


@dataclass(frozen=True)
class ReferralLine:
    """A partner somebody brought, by the name that others see."""

    referral: Referral
    name: str
    status: PartnerStatus


def inviter(session: Session, code: str) -> Partner | None:
    """The active partner whose invitation this is: their handle or opaque name."""
    wanted = code.strip().lower()
    mine = (Partner.handle == wanted) | (Partner.alias == wanted)
    return session.scalar(select(Partner).where(mine, Partner.status == PartnerStatus.ACTIVE))


def check(session: Session, *, code: str, email: str) -> Partner | None:
    """Who invited, before anybody joins; None when the invitation leads to nobody.

    :raises SelfReferral: the mailbox is the inviter's own.
    """
    found = inviter(session, code) if code.strip() else None
    if found is None:
        return None
    if mailbox(queries.email_of(session, PartnerId(found.id))) == mailbox(email):
        raise SelfReferral
    return found


def keep(
    session: Session, *, referrer_id: UUID, referred_id: UUID, policy: Policy, now: datetime
) -> None:
    """Remember who brought this newcomer, on the conditions of today. The first one counts."""
    row = {
        "referrer_id": referrer_id,
        "referred_id": referred_id,
        "share_bps": policy.referral_bps,
        "started_at": now,
        "ends_at": _later(now, min(policy.referral_months, MONTHS_MAX)),
    }
    session.execute(insert(Referral).values(row).on_conflict_do_nothing())


def void(session: Session, *, referral: Referral, reason: Void, now: datetime) -> None:
    """It brings nothing from now on."""
    referral.void_at, referral.void_reason = now, reason
    session.flush()


def brought(session: Session, partner_id: PartnerId, *, limit: int = 50) -> Sequence[ReferralLine]:
    """Whom a partner brought, the newest first."""
    rows = (
        select(Referral, Partner)
        .join(Partner, Partner.id == Referral.referred_id)
        .where(Referral.referrer_id == partner_id)
        .order_by(Referral.referred_id.desc())
        .limit(limit)
    )
    return [
        ReferralLine(referral, partner.shown_as, PartnerStatus(partner.status))
        for referral, partner in session.execute(rows)
    ]


def brought_count(session: Session, partner_id: PartnerId) -> int:
    """How many partners somebody has brought."""
    mine = Referral.referrer_id == partner_id
    return session.scalar(select(func.count()).where(mine)) or 0


def mailbox(email: str) -> str:
    """The mailbox behind an address: without what stands after a plus, and Gmail's dots."""
    local, _, domain = email.strip().lower().rpartition("@")
    local = local.partition("+")[0]
    if domain in _DOTS_DO_NOT_COUNT:
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}@{domain}"


def _later(moment: datetime, months: int) -> datetime:
    """Whole months later, on the 28th at the latest where the day does not exist."""
    year, month = divmod(moment.month - 1 + months, 12)
    return moment.replace(year=moment.year + year, month=month + 1, day=min(moment.day, 28))
