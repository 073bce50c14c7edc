"""Click earnings: the valid clicks of an hour become accruals and entries, exactly once.

A click is looked at when its hour is over, or later when it was late; which clicks have been
looked at is kept with the accruals, so that nothing earns twice. What a click was refused stays
refused: money that comes into a budget later pays later clicks.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from uuid import UUID

from sqlalchemy import select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import ids, policy as policies
from flowlink.kernel.money import Money
from flowlink.kernel.policy import Policy
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.payouts import agreed, click_queries as queries, purses, screening
from flowlink.payouts.agreed import Agreed
from flowlink.payouts.models import Accrual, AccrualZero, ClickHour, ReserveLot, Zero
from flowlink.payouts.purses import Purses
from flowlink.payouts.screening import Room
from flowlink.payouts.terms import Terms as Agreement
from flowlink.payouts.waiting_models import Waiting
from flowlink.risk import watches
from flowlink.tracking import budgets, payable
from flowlink.tracking.ids import OFFER
from flowlink.tracking.models import Mode, OfferVersion
from flowlink.tracking.offers import Terms
from flowlink.tracking.payable import ClickFact

HOUR = timedelta(hours=1)
LATEST = timedelta(days=31)  # how late a click may be and still earn
BATCH = 200  # partners a transaction
CLICKS = Code.CLICKS


@dataclass(frozen=True)
class Accrued:
    """What one transaction did: the hour, and how many clicks of it earn and do not."""

    hour: datetime
    paid: int
    zero: int
    waiting: int = 0


@dataclass
class Draft:
    """An accrual while clicks are added to it."""

    version: OfferVersion
    terms: Terms
    agreed: Agreement
    price: Money
    partner_id: PartnerId
    sequence: int
    paid: list[int] = field(default_factory=list)
    zeros: dict[Zero, list[int]] = field(default_factory=lambda: defaultdict(list))
    waiting: dict[UUID, list[int]] = field(default_factory=lambda: defaultdict(list))
    reserve: Money = field(default_factory=Money.zero)
    lot: ReserveLot | None = None
    terms_id: UUID | None = None
    entry_id: UUID | None = None

    @property
    def amount(self) -> Money:
        return Money(self.price.micro * len(self.paid))


def accrue(session: Session, *, now: datetime, limit: int = BATCH) -> Accrued | None:
    """Pay the earliest hour with clicks that nobody has looked at; None when there is none.

    Two at once, or again, pay nothing twice: one waits for the other and finds nothing.
    """
    budgets.lock(session)
    due = queries.due_hours(session, since=now - LATEST, until=now - HOUR, limit=limit)
    if not due:
        return None
    hour = due[0].hour
    clicks = payable.clicks_in_hour(session, hour=hour, partners=[each.partner for each in due])
    known = queries.known_clicks(session, hour=hour, partner_ids=[each.partner_id for each in due])
    fresh = [each for each in clicks if each.number not in known and screening.counts(each)]
    policy = policies.at(session, now)
    watched = watches.look(
        session,
        partner_ids={PartnerId(each.partner_id) for each in fresh},
        hour=hour,
        now=now,
        policy=policy,
    )
    drafts = _drafts(session, hour, fresh, policy, watched)
    _put_by(session, hour, drafts, now)
    book(session, hour, drafts, now)
    rows = [{"partner": each.partner, "hour": hour, "seen": each.valid} for each in due]
    added = insert(ClickHour).values(rows)
    session.execute(
        added.on_conflict_do_update(
            index_elements=["partner", "hour"], set_={"seen": added.excluded.seen}
        )
    )
    zeros = sum(len(numbers) for draft in drafts for numbers in draft.zeros.values())
    put_by = sum(len(numbers) for draft in drafts for numbers in draft.waiting.values())
    paid = sum(len(draft.paid) for draft in drafts)
    return Accrued(hour=hour, paid=paid, zero=zeros, waiting=put_by)


def book(session: Session, hour: datetime, drafts: Sequence[Draft], now: datetime) -> None:
    """Move the money of these drafts and write them down; the budgets' lock is held."""
    settled = [draft for draft in drafts if draft.paid or draft.zeros]
    _post(session, hour, settled, now)
    _keep(session, hour, settled, now)


def _put_by(session: Session, hour: datetime, drafts: Sequence[Draft], now: datetime) -> None:
    """Leave the watched clicks of these drafts for a person: neither paid nor refused.

    They spend nothing, not of the budget nor of a cap, so that nobody can use up what honest
    clicks are paid from. `settling` posts them once they are decided.
    """
    rows = [
        {
            "watch_id": watch_id,
            "partner_id": draft.partner_id,
            "offer_id": draft.version.offer_id,
            "version": draft.version.version,
            "terms_id": draft.terms_id,
            "hour": hour,
            "currency": draft.price.currency,
            "price_micro": draft.price.micro,
            "click_ids": numbers,
            "since": now,
        }
        for draft in drafts
        for watch_id, numbers in draft.waiting.items()
    ]
    if rows:
        session.execute(insert(Waiting).values(rows))


def _drafts(
    session: Session,
    hour: datetime,
    clicks: Sequence[ClickFact],
    policy: Policy,
    watched: Mapping[int, UUID],
) -> list[Draft]:
    """The clicks in their order, each to the accrual of its partner, offer, version and terms."""
    offer_ids = {click.offer_id for click in clicks}
    partner_ids = {click.partner_id for click in clicks}
    book = Agreed(session, partner_ids=partner_ids, offer_ids=offer_ids)
    versions = payable.versions(session, offer_ids)
    rooms = rooms_of(session, hour.date(), offer_ids)
    sequences = queries.last_sequences(session, hour=hour, offer_ids=offer_ids)
    drafts: dict[tuple[UUID, UUID, bytes], Draft] = {}
    for click in clicks:
        version = payable.in_force(versions[click.offer_id], click.at)
        if version.mode != Mode.CPC:
            continue  # its sales pay, not its clicks
        mine = click.partner_id, click.offer_id
        terms = book.click_terms(
            partner_id=click.partner_id, version=version, at=click.at, policy=policy
        )
        key = agreed.digest(terms)
        draft = drafts.get((*mine, key))
        if draft is None:
            sequences[mine] = sequences.get(mine, 0) + 1
            draft = drafts[*mine, key] = draft_of(
                version, terms, PartnerId(click.partner_id), sequences[mine]
            )
        _judge(click, draft, rooms[click.offer_id], watched.get(click.number))
    kept = agreed.pin(session, (draft.agreed for draft in drafts.values()))
    for (_, _, key), draft in drafts.items():
        draft.terms_id = kept[key]
    return list(drafts.values())


def draft_of(
    version: OfferVersion, agreement: Agreement, partner_id: PartnerId, sequence: int
) -> Draft:
    """An accrual under these terms, without clicks yet."""
    terms = screening.terms_for(version, agreement)
    assert agreement.cpc_micro is not None, "a cpc version has a price, the database says so"
    return Draft(version, terms, agreement, Money(agreement.cpc_micro), partner_id, sequence)


def _judge(click: ClickFact, draft: Draft, room: Room, watch_id: UUID | None) -> None:
    if watch_id is not None and screening.not_running(draft.terms, click.at) is None:
        draft.waiting[watch_id].append(click.number)
        return
    zero = screening.screen(click, terms=draft.terms, price=draft.price, room=room)
    if zero is not None:
        draft.zeros[zero].append(click.number)
        return
    room.spend(draft.price, click.partner_id)
    draft.paid.append(click.number)


def rooms_of(session: Session, day: date, offer_ids: Iterable[UUID]) -> dict[UUID, Room]:
    """What is left of each offer's caps and budget, read under the budgets' lock."""
    wanted = set(offer_ids)
    rooms = {key: Room(budget=left) for key, left in budgets.left(session, wanted).items()}
    for offer_id, total in queries.spent(session, wanted).items():
        rooms[offer_id].total = total
    for (offer_id, partner_id), amount in queries.spent_on(session, wanted, day).items():
        rooms[offer_id].day += amount
        rooms[offer_id].partner_day[partner_id] = amount
    return rooms


def _post(session: Session, hour: datetime, drafts: Sequence[Draft], now: datetime) -> None:
    """Lock the partners, move the money, and give each draft its lot and its entry."""
    paying = [draft for draft in drafts if draft.paid]
    opened = Purses(session, partner_ids={draft.partner_id for draft in paying})
    lots = _lots(session, {(draft.partner_id, _release_on(draft, hour)) for draft in paying})
    for draft in paying:
        draft.reserve = draft.amount.share(draft.agreed.reserve_bps)
        if draft.reserve:
            draft.lot = lots[draft.partner_id, _release_on(draft, hour)]
            draft.lot.remaining_micro += draft.reserve.micro
    entries = [_entry(draft, opened, hour) for draft in paying]
    for draft, outcome in zip(paying, ledger.post_many(session, entries, now), strict=True):
        assert outcome.status is ledger.Status.CREATED, outcome
        draft.entry_id = outcome.entry_id


def _release_on(draft: Draft, hour: datetime) -> date:
    return hour.date() + timedelta(days=draft.agreed.release_days)


def _lots(
    session: Session, wanted: Iterable[tuple[PartnerId, date]]
) -> dict[tuple[PartnerId, date], ReserveLot]:
    """The open lots of those days, opened where missing; ours until the transaction ends."""
    keys = sorted(set(wanted))
    rows = [
        {"partner_id": partner_id, "currency": "EUR", "release_on": day} for partner_id, day in keys
    ]
    if not rows:
        return {}
    session.execute(insert(ReserveLot).values(rows).on_conflict_do_nothing())
    found = select(ReserveLot).where(
        tuple_(ReserveLot.partner_id, ReserveLot.release_on).in_(keys),
        ReserveLot.currency == "EUR",
        ReserveLot.released_at.is_(None),
    )
    fresh = session.scalars(found.execution_options(populate_existing=True))
    return {(PartnerId(lot.partner_id), lot.release_on): lot for lot in fresh}


def _entry(draft: Draft, opened: Purses, hour: datetime) -> Entry:
    """The reserve's part aside; of the rest debt is repaid first, and a hold keeps it apart."""
    purse = opened.of(draft.partner_id)
    offer_id = draft.version.offer_id
    budget = ledger.account(AccountKind.CLICK_BUDGET, offer_id)
    transfers = [
        Transfer(budget, purse.account(kind), amount, code)
        for kind, amount, code in purses.codes(purse.give(draft.amount - draft.reserve), CLICKS)
    ]
    if draft.reserve:
        reserve = purse.account(AccountKind.RESERVE)
        transfers.insert(0, Transfer(budget, reserve, draft.reserve, CLICKS))
    return Entry(
        source=f"clicks:{draft.partner_id}:{offer_id}:{hour:%Y-%m-%dT%H}:{draft.sequence}",
        kind=EntryKind.CLICKS,
        transfers=tuple(transfers),
        effective_at=hour + HOUR,
        ref={
            "partner": partner_ids.public(draft.partner_id),
            "offer": ids.public(OFFER, offer_id),
            "version": str(draft.version.version),
            "hour": hour.isoformat(),
            "clicks": str(len(draft.paid)),
        },
    )


def _keep(session: Session, hour: datetime, drafts: Sequence[Draft], now: datetime) -> None:
    """Write down which clicks earned, which did not, and why."""
    if not drafts:
        return
    session.flush()  # the lots first: the accruals name them
    by_key = {(each.partner_id, each.version.offer_id, each.sequence): each for each in drafts}
    added = insert(Accrual).values([_row(each, hour, now) for each in drafts])
    found = session.execute(
        added.returning(Accrual.id, Accrual.partner_id, Accrual.offer_id, Accrual.sequence)
    )
    zeros = [
        {"accrual_id": accrual_id, "reason": reason, "click_ids": numbers}
        for accrual_id, partner_id, offer_id, sequence in found
        for reason, numbers in by_key[PartnerId(partner_id), offer_id, sequence].zeros.items()
    ]
    if zeros:
        session.execute(insert(AccrualZero).values(zeros))


def _row(draft: Draft, hour: datetime, now: datetime) -> dict[str, object]:
    return {
        "partner_id": draft.partner_id,
        "offer_id": draft.version.offer_id,
        "version": draft.version.version,
        "hour": hour,
        "sequence": draft.sequence,
        "currency": draft.price.currency,
        "price_micro": draft.price.micro,
        "terms_id": draft.terms_id,
        "click_ids": draft.paid,
        "amount_micro": draft.amount.micro,
        "reserve_micro": draft.reserve.micro,
        "lot_id": draft.lot.id if draft.lot else None,
        "entry_id": draft.entry_id,
        "posted_at": now,
    }
