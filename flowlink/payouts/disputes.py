"""Disputed sales: set apart while a buyer contests them, then given back or taken back.

| from | to | by | money |
|---|---|---|---|
| - | open | an operator, or a program for them | reserve, available -> held |
| open | won | the same | held -> reserve until its day; the rest as new earnings (debt, hold) |
| open | lost | the same, or the network takes the sale back | held, then the rest -> network |

Set apart is the sale's own unreleased reserve, and of the rest of its commission what is there.
What was withdrawn before the dispute is not asked for while it is open; if it is lost it becomes
debt, which later earnings repay. What a won dispute took out of the reserve goes back there until
the day on which it would have been released, and is the partner's at once when that has passed.
"""

from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, events, ids
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import ids as partner_ids, own_affairs
from flowlink.partners.ids import PartnerId
from flowlink.payouts import commissions, purses
from flowlink.payouts.case_models import Dispute, DisputeShare, DisputeState
from flowlink.payouts.ids import DISPUTE
from flowlink.payouts.models import Commission, ReserveLot, ReserveShare
from flowlink.payouts.purses import Purse
from flowlink.tracking import restating
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Status

REFERENCE_MAX = 100


class UnknownDispute(NotFound):
    message = "There is no such dispute."


class NothingToDispute(Refused):
    message = "This sale has brought its partner nothing, so there is nothing to set apart."


class DisputeOpen(Refused):
    message = "This sale is disputed already."


class DisputeDecided(Refused):
    message = "This dispute was decided already."


class DisputeReference(Invalid):
    message = "Please give the dispute's reference."
    field = "reference"


def open_dispute(
    session: Session,
    *,
    conversion_id: UUID,
    reference: str,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Dispute:
    """Set apart what this sale brought, until the dispute is decided.

    The same `reference` again returns the dispute that it opened.

    :raises DisputeReference: none. :raises NothingToDispute: no commission was credited.
    :raises DisputeOpen: another dispute about the same sale is open.
    """
    name = reference.strip()[:REFERENCE_MAX]
    if not name:
        raise DisputeReference
    known = session.get(Commission, conversion_id)
    if known is None:
        raise NothingToDispute
    partner_id = PartnerId(known.partner_id)
    purse = purses.locked(session, partner_id=partner_id, currency=known.currency)
    before = _of(session, conversion_id)
    if (same := next((one for one in before if one.reference == name), None)) is not None:
        return same
    if any(one.state == DisputeState.OPEN for one in before):
        raise DisputeOpen
    commission = session.get_one(Commission, conversion_id, populate_existing=True)
    if not commission.share_micro:
        raise NothingToDispute
    return _set_apart(session, commission, purse, name, actor=actor, now=now, ip=ip)


def win(session: Session, *, dispute_id: UUID, actor: str, now: datetime, ip: str = "") -> Dispute:
    """The sale stands: what was set apart is what it was before. Once only.

    :raises UnknownDispute: :raises DisputeDecided: :raises OwnAffair: `actor` is the partner.
    """
    dispute, purse = _locked(session, dispute_id)
    own_affairs.refuse(session, partner_id=purse.partner_id, actor=actor)
    kept = _refill_reserve(session, dispute, now)
    free = dispute.held - kept
    dispute.held_micro = 0
    dispute.state, dispute.decided_by, dispute.decided_at = DisputeState.WON, actor, now
    session.flush()
    held = purse.account(AccountKind.HELD)
    back = [(AccountKind.RESERVE, kept, Code.UNHOLD)] if kept else []
    back += purses.codes(purse.give(free), Code.UNHOLD)
    transfers = tuple(
        Transfer(held, purse.account(kind), amount, code)
        for kind, amount, code in back
        if kind is not AccountKind.HELD  # under a hold it stays where it is
    )
    _post(session, dispute, "won", transfers, now)
    _note(session, dispute, "won dispute", actor, now, ip)
    return dispute


def lose(session: Session, *, dispute_id: UUID, actor: str, now: datetime, ip: str = "") -> Dispute:
    """The buyer was right: the sale is taken back, and its commission with it. Once only.

    :raises UnknownDispute: :raises DisputeDecided: :raises OwnAffair: `actor` is the partner.
    """
    dispute = session.get(Dispute, dispute_id)
    if dispute is None:
        raise UnknownDispute
    if dispute.state != DisputeState.OPEN:
        raise DisputeDecided
    restating.restate(
        session, conversion_id=dispute.conversion_id, status=Status.REVERSED, actor=actor, now=now
    )
    dispute, _ = _locked(session, dispute_id)
    commissions.post_conversions(session, conversion_ids=[dispute.conversion_id], now=now)
    if dispute.state == DisputeState.OPEN:
        dispute.lose(actor=actor, now=now)
    dispute.decided_by = actor
    session.flush()
    _note(session, dispute, "lost dispute", actor, now, ip)
    return dispute


def named(session: Session, *, conversion_id: UUID, reference: str) -> Dispute:
    """The dispute about this sale that goes by this reference.

    :raises UnknownDispute:
    """
    mine = Dispute.conversion_id == conversion_id, Dispute.reference == reference.strip()
    found = session.scalars(select(Dispute).where(*mine)).one_or_none()
    if found is None:
        raise UnknownDispute
    return found


def _set_apart(
    session: Session,
    commission: Commission,
    purse: Purse,
    reference: str,
    *,
    actor: str,
    now: datetime,
    ip: str,
) -> Dispute:
    """Its own reserve first, then what is available: never more than the sale brought."""
    share = Money(commission.share_micro, commission.currency)
    taken = _empty_reserve(session, commission.conversion_id)
    reserved = Money(sum(taken.values()), commission.currency)
    rest = min(share - reserved, purse.held + purse.available)
    from_held = min(rest, purse.held)  # kept apart by a hold already: it only changes its owner
    available = rest - from_held
    dispute = Dispute(
        conversion_id=commission.conversion_id,
        partner_id=commission.partner_id,
        currency=commission.currency,
        reference=reference,
        state=DisputeState.OPEN,
        amount_micro=(reserved + rest).micro,
        held_micro=(reserved + rest).micro,
        opened_by=actor,
        opened_at=now,
    )
    session.add(dispute)
    session.flush()  # the entry's source is its id
    for lot_id, micro in taken.items():
        session.add(DisputeShare(dispute_id=dispute.id, lot_id=lot_id, amount_micro=micro))
    held = purse.account(AccountKind.HELD)
    parts = ((AccountKind.RESERVE, reserved), (AccountKind.AVAILABLE, available))
    moved = [Transfer(purse.account(kind), held, part, Code.HOLD) for kind, part in parts if part]
    _post(session, dispute, "opened", tuple(moved), now)
    _note(session, dispute, "opened dispute", actor, now, ip)
    return dispute


def _empty_reserve(session: Session, conversion_id: UUID) -> dict[UUID, int]:
    """Take out what unreleased lots keep of this sale: it is not released while disputed."""
    kept = (
        select(ReserveShare, ReserveLot)
        .join(ReserveLot, ReserveLot.id == ReserveShare.lot_id)
        .where(ReserveShare.conversion_id == conversion_id, ReserveLot.released_at.is_(None))
        .execution_options(populate_existing=True)
    )
    taken = {}
    for share, lot in session.execute(kept):
        if share.amount_micro:
            taken[lot.id] = share.amount_micro
        lot.remaining_micro -= share.amount_micro
        share.amount_micro = 0
    return taken


def _refill_reserve(session: Session, dispute: Dispute, now: datetime) -> Money:
    """Put back what was taken out of lots whose day has not come; returns how much.

    Of a sale that was taken back in part meanwhile in proportion, out of the latest lot first: as
    if it had lain in the reserve all the time.
    """
    taken = (
        select(DisputeShare, ReserveLot, ReserveShare)
        .join(ReserveLot, ReserveLot.id == DisputeShare.lot_id)
        .join(ReserveShare, ReserveShare.lot_id == ReserveLot.id)
        .where(DisputeShare.dispute_id == dispute.id)
        .where(ReserveShare.conversion_id == dispute.conversion_id)
        .order_by(ReserveLot.release_on)
        .execution_options(populate_existing=True)
    )
    rows = session.execute(taken).all()
    whole = Money(sum(each.amount_micro for each, _, _ in rows), dispute.currency)
    left = whole.in_proportion(dispute.held, dispute.amount).micro if whole else 0
    kept = 0
    for each, lot, share in rows:
        part = min(left, each.amount_micro)
        left -= part
        if lot.released_at is None and lot.release_on > now.date():
            lot.remaining_micro += part
            share.amount_micro += part
            kept += part
    return Money(kept, dispute.currency)


def _of(session: Session, conversion_id: UUID) -> list[Dispute]:
    rows = select(Dispute).where(Dispute.conversion_id == conversion_id)
    return list(session.scalars(rows.execution_options(populate_existing=True)))


def _locked(session: Session, dispute_id: UUID) -> tuple[Dispute, Purse]:
    """The open dispute, read under its partner's lock."""
    dispute = session.get(Dispute, dispute_id)
    if dispute is None:
        raise UnknownDispute
    partner_id = PartnerId(dispute.partner_id)
    purse = purses.locked(session, partner_id=partner_id, currency=dispute.currency)
    session.refresh(dispute)
    if dispute.state != DisputeState.OPEN:
        raise DisputeDecided
    return dispute, purse


def _post(
    session: Session, dispute: Dispute, step: str, transfers: tuple[Transfer, ...], now: datetime
) -> None:
    if not transfers:
        return
    entry = Entry(
        source=f"dispute:{dispute.id}:{step}",
        kind=EntryKind.DISPUTE,
        transfers=transfers,
        effective_at=now,
        ref={
            "partner": partner_ids.public(PartnerId(dispute.partner_id)),
            "conversion": ids.public(CONVERSION, dispute.conversion_id),
            "reference": dispute.reference,
        },
    )
    ledger.post(session, entry, now)


def _note(
    session: Session, dispute: Dispute, action: str, actor: str, now: datetime, ip: str
) -> None:
    payload = {"dispute_id": str(dispute.id), "state": str(dispute.state)}
    events.emit(session, "dispute.changed", payload)
    subject = ids.public(DISPUTE, dispute.id)
    facts = {"reference": dispute.reference, "amount": str(dispute.amount)}
    audit.record(session, actor, action, subject, now, ip, **facts)
