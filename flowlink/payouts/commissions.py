"""Commissions: each revision of a conversion becomes one entry of differences, exactly once."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import ids, policy as policies
from flowlink.kernel.errors import Refused
from flowlink.kernel.money import Money
from flowlink.kernel.policy import Policy
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.payouts import commission_queries, dispute_queries, pinning, purses
from flowlink.payouts.case_models import Dispute
from flowlink.payouts.models import Commission, CommissionRevision, ReserveLot, ReserveShare
from flowlink.payouts.pinning import Reckoner
from flowlink.payouts.purses import Purse, Purses
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Conversion, ConversionRevision, Status


class NotPosted(Refused):
    message = "The ledger refused %(sources)s."


@dataclass
class Work:
    """What one batch reads under its locks and changes as it goes."""

    conversions: dict[UUID, Conversion]
    commissions: dict[UUID, Commission]
    purses: Purses
    lots: dict[tuple[UUID, str, date], ReserveLot]
    shares: dict[UUID, list[tuple[ReserveLot, ReserveShare]]]
    reckoner: Reckoner
    disputes: dict[UUID, Dispute]
    release_days: int
    new_shares: list[ReserveShare] = field(default_factory=list)


def post_revisions(
    session: Session, *, now: datetime, limit: int = 500, since: datetime | None = None
) -> int:
    """Post what conversions became and nobody has posted yet; returns how many revisions.

    `since` spares the search through all conversions: only revisions from then on start it. Two
    at once, or again, post nothing twice.

    :raises NotPosted: the ledger refused one of them, so none was posted.
    """
    due = commission_queries.unposted_conversions(session, limit=limit, since=since)
    return post_conversions(session, conversion_ids=due, now=now)


def post_conversions(session: Session, *, conversion_ids: Collection[UUID], now: datetime) -> int:
    """As `post_revisions`, for these conversions: every unposted revision, in order."""
    if not conversion_ids:
        return 0
    work = _begin(session, conversion_ids, policies.at(session, now))
    revisions = _unposted(session, work)
    _open_lots(session, work, revisions)
    steps = [(revision, _step(work, revision)) for revision in revisions]
    entry_ids = _post(session, [entry for _, entry in steps if entry], now)
    session.add_all(work.new_shares)
    for revision, entry in steps:
        session.add(
            CommissionRevision(
                conversion_id=revision.conversion_id,
                revision=revision.revision,
                entry_id=entry_ids[entry.source] if entry else None,
                posted_at=now,
            )
        )
    session.flush()  # a constraint that says no says it here, not at the end of the request
    return len(revisions)


def _begin(session: Session, conversion_ids: Collection[UUID], policy: Policy) -> Work:
    """Lock the partners, then read all that their steps need: fresh, and ours until the end."""
    found = session.scalars(select(Conversion).where(Conversion.id.in_(conversion_ids)))
    conversions = {conversion.id: conversion for conversion in found}
    opened = Purses(
        session, partner_ids={PartnerId(each.partner_id) for each in conversions.values()}
    )
    rows = pinning.new_rows(session, conversions.values(), policy)
    if rows:
        session.execute(insert(Commission).values(rows).on_conflict_do_nothing())
    fresh = select(Commission).where(Commission.conversion_id.in_(conversions))
    begun = session.scalars(fresh.execution_options(populate_existing=True)).all()
    return Work(
        conversions=conversions,
        commissions={each.conversion_id: each for each in begun},
        purses=opened,
        lots={},
        shares=defaultdict(list),
        reckoner=pinning.reckoner(session, begun, conversions),
        disputes=dispute_queries.open_on(session, conversions),
        release_days=policy.release_days,
    )


def _unposted(session: Session, work: Work) -> Sequence[ConversionRevision]:
    """Every revision after the last posted one, in the order in which they came to be."""
    rows = (
        select(ConversionRevision)
        .join(Commission, Commission.conversion_id == ConversionRevision.conversion_id)
        .where(
            Commission.conversion_id.in_(work.commissions),
            ConversionRevision.revision > Commission.posted_revision,
        )
        .order_by(ConversionRevision.conversion_id, ConversionRevision.revision)
    )
    return session.scalars(rows).all()


def _open_lots(session: Session, work: Work, revisions: Sequence[ConversionRevision]) -> None:
    """Read the unreleased lots of the partners, after opening those that credits may go to."""
    keys = {_lot_key(work, each) for each in revisions if each.status == Status.APPROVED}
    rows = [
        {"partner_id": partner_id, "currency": currency, "release_on": day}
        for partner_id, currency, day in sorted(keys)
    ]
    if rows:
        session.execute(insert(ReserveLot).values(rows).on_conflict_do_nothing())
    partners = {each.partner_id for each in work.conversions.values()}
    open_lots = ReserveLot.partner_id.in_(partners), ReserveLot.released_at.is_(None)
    found = select(ReserveLot).where(*open_lots).execution_options(populate_existing=True)
    for lot in session.scalars(found):
        work.lots[lot.partner_id, lot.currency, lot.release_on] = lot
    kept = (
        select(ReserveShare, ReserveLot)
        .join(ReserveLot, ReserveLot.id == ReserveShare.lot_id)
        .where(ReserveShare.conversion_id.in_(work.conversions), *open_lots)
        .order_by(ReserveLot.release_on.desc())
        .execution_options(populate_existing=True)
    )
    for share, lot in session.execute(kept):
        work.shares[share.conversion_id].append((lot, share))


def _lot_key(work: Work, revision: ConversionRevision) -> tuple[UUID, str, date]:
    conversion = work.conversions[revision.conversion_id]
    commission = work.commissions[revision.conversion_id]
    days = commission.release_days
    days = work.release_days if days is None else days
    release_on = revision.at.date() + timedelta(days=days)
    return conversion.partner_id, conversion.currency, release_on


def _step(work: Work, revision: ConversionRevision) -> Entry | None:
    """The difference between what was posted and what the conversion is now, as one entry."""
    conversion = work.conversions[revision.conversion_id]
    commission = work.commissions[revision.conversion_id]
    transfers = tuple(_transfers(work, commission, conversion, revision))
    commission.posted_revision = revision.revision
    if not transfers:
        return None
    return Entry(
        source=f"conversion:{conversion.id}:{revision.revision}",
        kind=EntryKind.CONVERSION,
        transfers=transfers,
        effective_at=revision.at,
        ref={
            "conversion": ids.public(CONVERSION, conversion.id),
            "partner": partner_ids.public(PartnerId(conversion.partner_id)),
            "status": str(revision.status),
        },
    )


def _transfers(
    work: Work, commission: Commission, conversion: Conversion, revision: ConversionRevision
) -> Iterator[Transfer]:
    amount = Money(revision.amount_micro, commission.currency)
    nothing = Money.zero(commission.currency)
    is_pending = revision.status == Status.PENDING
    is_approved = revision.status == Status.APPROVED
    share = work.reckoner.wanted(commission, conversion, revision.status, amount)
    purse = work.purses.of(PartnerId(commission.partner_id), commission.currency)
    yield from _expect(commission, conversion, purse, share if is_pending else nothing)
    gained = (share if is_approved else nothing).micro - commission.share_micro
    earned = (amount if is_approved else nothing).micro - commission.gross_micro - gained
    receivable = _receivable(conversion)
    if gained > 0:
        credit = Money(gained, commission.currency)
        yield from _credit(work, commission, revision, purse, receivable, credit)
    elif gained < 0:
        loss = Money(-gained, commission.currency)
        yield from _claw_back(work, commission, purse, receivable, loss)
    commission.share_micro += gained
    commission.gross_micro += gained + earned
    work.reckoner.add(conversion, gross=gained + earned, share=gained)
    if not commission.share_micro and (dispute := work.disputes.pop(conversion.id, None)):
        dispute.lose(actor="network", now=revision.at)
    yield from _earn(receivable, Money(earned, commission.currency))


def _expect(
    commission: Commission, conversion: Conversion, purse: Purse, share: Money
) -> Iterator[Transfer]:
    """What is pending, shown but not owed yet."""
    unconfirmed = ledger.account(
        AccountKind.NETWORK_UNCONFIRMED, conversion.network_id, conversion.currency
    )
    pending = purse.account(AccountKind.PENDING)
    change = share - Money(commission.pending_micro, share.currency)
    commission.pending_micro = share.micro
    if change.micro > 0:
        yield Transfer(unconfirmed, pending, change, Code.EXPECTED)
    elif change.micro < 0:
        yield Transfer(pending, unconfirmed, -change, Code.EXPECTED_BACK)


def _credit(
    work: Work,
    commission: Commission,
    revision: ConversionRevision,
    purse: Purse,
    receivable: ledger.Account,
    credit: Money,
) -> Iterator[Transfer]:
    """New commission: the reserve's part into the day's lot, the rest to the partner."""
    kept = credit.share(commission.reserve_bps)
    if kept:
        _keep(work, commission, work.lots[_lot_key(work, revision)], kept)
        yield Transfer(receivable, purse.account(AccountKind.RESERVE), kept, Code.RESERVE)
    for kind, amount, code in purses.codes(purse.give(credit - kept), Code.COMMISSION):
        yield Transfer(receivable, purse.account(kind), amount, code)


def _keep(work: Work, commission: Commission, lot: ReserveLot, kept: Money) -> None:
    lot.remaining_micro += kept.micro
    for known, share in work.shares[commission.conversion_id]:
        if known is lot:
            share.amount_micro += kept.micro
            return
    share = ReserveShare(
        conversion_id=commission.conversion_id, lot_id=lot.id, amount_micro=kept.micro
    )
    work.new_shares.append(share)
    work.shares[commission.conversion_id].insert(0, (lot, share))


def _claw_back(
    work: Work, commission: Commission, purse: Purse, receivable: ledger.Account, loss: Money
) -> Iterator[Transfer]:
    """Commission taken back: what a dispute set apart, in proportion from its own reserve, the
    rest from what is there.
    """
    whole = Money(commission.share_micro, loss.currency)
    dispute = work.disputes.get(commission.conversion_id)
    apart = min(dispute.held, loss) if dispute is not None else Money.zero(loss.currency)
    if dispute is not None and apart:
        dispute.held_micro -= apart.micro
        yield Transfer(purse.account(AccountKind.HELD), receivable, apart, Code.CLAWBACK)
    if loss > apart:
        yield from _take_back(work, commission, purse, receivable, loss - apart, whole - apart)


def _take_back(
    work: Work,
    commission: Commission,
    purse: Purse,
    receivable: ledger.Account,
    loss: Money,
    whole: Money,
) -> Iterator[Transfer]:
    """Of a commission of `whole`: in proportion from its own reserve, the rest from the purse."""
    shares = work.shares[commission.conversion_id]
    reserved = Money(sum(share.amount_micro for _, share in shares), loss.currency)
    from_reserve = reserved.in_proportion(loss, whole)
    left = from_reserve.micro
    for lot, share in shares:
        part = min(left, share.amount_micro)
        share.amount_micro -= part
        lot.remaining_micro -= part
        left -= part
    if from_reserve:
        reserve = purse.account(AccountKind.RESERVE)
        yield Transfer(reserve, receivable, from_reserve, Code.CLAWBACK)
    for kind, amount in purse.take(loss - from_reserve):
        yield Transfer(purse.account(kind), receivable, amount, Code.CLAWBACK)


def _earn(receivable: ledger.Account, change: Money) -> Iterator[Transfer]:
    """Our own part, in either direction."""
    revenue = ledger.account(AccountKind.REVENUE, currency=change.currency)
    if change.micro > 0:
        yield Transfer(receivable, revenue, change, Code.REVENUE)
    elif change.micro < 0:
        yield Transfer(revenue, receivable, -change, Code.REVENUE_BACK)


def _receivable(conversion: Conversion) -> ledger.Account:
    return ledger.account(
        AccountKind.NETWORK_RECEIVABLE, conversion.network_id, conversion.currency
    )


def _post(session: Session, entries: Sequence[Entry], now: datetime) -> dict[str, UUID]:
    outcomes = ledger.post_many(session, entries, now)
    posted = {
        entry.source: outcome.entry_id
        for entry, outcome in zip(entries, outcomes, strict=True)
        if outcome.status is ledger.Status.CREATED and outcome.entry_id is not None
    }
    if len(posted) < len(entries):
        refused = [each.source for each in entries if each.source not in posted]
        raise NotPosted(sources=", ".join(refused))
    return posted
