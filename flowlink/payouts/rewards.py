"""What bringing a partner brings: a share of what that one earns, out of the house's own part.

Each commission and each accrual of a referred partner has one reward, kept up to date: what it
should be, less what was posted, is the next entry. So it follows every correction and reversal.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from flowlink.kernel import ids
from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import ids as partner_ids, referrals
from flowlink.partners.ids import PartnerId
from flowlink.partners.onboarding_models import Referral, Void
from flowlink.payouts import purses
from flowlink.payouts.case_models import Reward
from flowlink.payouts.ids import ACCRUAL
from flowlink.payouts.models import Accrual, Commission, Method
from flowlink.payouts.purses import Purse, Purses
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Conversion

BATCH = 200


@dataclass(frozen=True)
class Due:
    """An earning whose reward is not what it should be, as it was seen without a lock."""

    referral: Referral
    conversion_id: UUID | None
    accrual_id: UUID | None


@dataclass(frozen=True)
class Brought:
    """What a partner got for one they brought."""

    referred_id: UUID
    amount: Money


def settle(session: Session, *, now: datetime, limit: int = BATCH) -> int:
    """Post what is missing or too much, at most `limit` rewards; returns how many.

    Two at once, or again, post nothing twice: a reward is read under its referrer's lock.
    """
    _void_same_details(session, now)
    due = [*_due_commissions(session, limit), *_due_accruals(session, limit)][:limit]
    opened = Purses(session, partner_ids={PartnerId(each.referral.referrer_id) for each in due})
    entries = [entry for each in due if (entry := _step(session, each, opened, now)) is not None]
    for outcome in ledger.post_many(session, entries, now):
        assert outcome.status is ledger.Status.CREATED, outcome
    session.flush()
    return len(due)


def total(session: Session, referrer_id: PartnerId) -> Money:
    """All that bringing partners has brought so far."""
    sums = select(func.sum(Reward.amount_micro)).where(Reward.referrer_id == referrer_id)
    return Money(int(session.scalar(sums) or 0))


def by_partner(session: Session, referrer_id: PartnerId) -> dict[UUID, Money]:
    """The same for each partner they brought."""
    rows = (
        select(Reward.referred_id, func.sum(Reward.amount_micro))
        .where(Reward.referrer_id == referrer_id)
        .group_by(Reward.referred_id)
    )
    return {referred: Money(int(micro)) for referred, micro in session.execute(rows)}


def _void_same_details(session: Session, now: datetime) -> None:
    """Whoever is paid to the same account as whom they brought, brought themselves."""
    theirs = (
        select(Method.fingerprint)
        .where(Method.partner_id == Referral.referred_id)
        .correlate(Referral)
    )
    same = select(Method.id).where(
        Method.partner_id == Referral.referrer_id, Method.fingerprint.in_(theirs)
    )
    rows = select(Referral).where(Referral.void_at.is_(None), same.correlate(Referral).exists())
    for referral in session.scalars(rows):
        referrals.void(session, referral=referral, reason=Void.SAME_DETAILS, now=now)


def _due_commissions(session: Session, limit: int) -> Sequence[Due]:
    rows = (
        select(Referral, Commission.conversion_id)
        .join(Commission, Commission.partner_id == Referral.referred_id)
        .join(Conversion, Conversion.id == Commission.conversion_id)
        .outerjoin(Reward, Reward.conversion_id == Commission.conversion_id)
        .where(
            *_within(Conversion.occurred_at),
            Commission.share_micro != func.coalesce(Reward.base_micro, 0),
        )
        .limit(limit)
    )
    return [Due(referral, key, None) for referral, key in session.execute(rows)]


def _due_accruals(session: Session, limit: int) -> Sequence[Due]:
    rows = (
        select(Referral, Accrual.id)
        .join(Accrual, Accrual.partner_id == Referral.referred_id)
        .outerjoin(Reward, Reward.accrual_id == Accrual.id)
        .where(*_within(Accrual.hour), Accrual.amount_micro > 0, Reward.id.is_(None))
        .limit(limit)
    )
    return [Due(referral, None, key) for referral, key in session.execute(rows)]


def _within(moment: InstrumentedAttribute[datetime]) -> Collection[ColumnElement[bool]]:
    """In the referral's time, and before it was voided: what came later brings nothing."""
    voided = Referral.void_at.is_(None) | (moment < Referral.void_at)
    return moment >= Referral.started_at, moment < Referral.ends_at, voided


def _step(session: Session, due: Due, opened: Purses, now: datetime) -> Entry | None:
    """The next entry of this reward, if anything moves."""
    subject = due.conversion_id or due.accrual_id
    assert subject is not None, "a reward is for a commission or an accrual"
    earned = _earned(session, due)
    reward = _reward(session, due, earned.currency, now)
    if earned.micro == reward.base_micro:
        return None
    wanted = earned.share(due.referral.share_bps)
    change = wanted - Money(reward.amount_micro, earned.currency)
    reward.base_micro, reward.amount_micro = earned.micro, wanted.micro
    reward.updated_at = now
    if not change:
        return None
    reward.step += 1
    purse = opened.of(PartnerId(due.referral.referrer_id), earned.currency)
    prefix = CONVERSION if due.conversion_id else ACCRUAL
    return Entry(
        source=f"referral:{subject}:{reward.step}",
        kind=EntryKind.REFERRAL,
        transfers=tuple(_transfers(purse, change)),
        effective_at=now,
        ref={
            "partner": partner_ids.public(PartnerId(due.referral.referrer_id)),
            "brought": partner_ids.public(PartnerId(due.referral.referred_id)),
            "for": ids.public(prefix, subject),
        },
    )


def _earned(session: Session, due: Due) -> Money:
    if due.accrual_id is not None:
        return session.get_one(Accrual, due.accrual_id).amount
    commission = session.get_one(Commission, due.conversion_id, populate_existing=True)
    return Money(commission.share_micro, commission.currency)


def _reward(session: Session, due: Due, currency: str, now: datetime) -> Reward:
    mine = Reward.conversion_id == due.conversion_id
    if due.accrual_id is not None:
        mine = Reward.accrual_id == due.accrual_id
    rows = select(Reward).where(mine).execution_options(populate_existing=True)
    reward = session.scalars(rows).one_or_none()
    if reward is not None:
        return reward
    reward = Reward(
        conversion_id=due.conversion_id,
        accrual_id=due.accrual_id,
        referrer_id=due.referral.referrer_id,
        referred_id=due.referral.referred_id,
        currency=currency,
        base_micro=0,
        amount_micro=0,
        step=0,
        updated_at=now,
    )
    session.add(reward)
    return reward


def _transfers(purse: Purse, change: Money) -> Iterator[Transfer]:
    revenue = ledger.account(AccountKind.REVENUE, currency=change.currency)
    if change.micro > 0:
        for kind, amount, code in purses.codes(purse.give(change), Code.REFERRAL):
            yield Transfer(revenue, purse.account(kind), amount, code)
        return
    for kind, amount in purse.take(-change):
        yield Transfer(purse.account(kind), revenue, amount, Code.REFERRAL_BACK)
