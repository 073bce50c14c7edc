"""What postbacks make of conversions: many in one transaction, in the order in which they came.

Everything that a batch needs is read at once, then each claim takes its step in memory, where it
finds what those before it did, and all that changed is written at once. One postback is a batch of
one: replays, reports and the edge run this same code.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import Session

from flowlink.kernel import db, events, policy
from flowlink.kernel.policy import Policy
from flowlink.tracking import attribution, clickid, conversion_store, lifecycle
from flowlink.tracking.attribution import Attribution, NoClick
from flowlink.tracking.claims import Claim
from flowlink.tracking.conversion_store import Book, Known
from flowlink.tracking.lifecycle import State, Step
from flowlink.tracking.models import Conversion, Mode, Network, OfferVersion, Result, Status

NOTHING_TO_TAKE_BACK = "nothing_to_take_back"
_TAKEN_BACK = (Status.REJECTED, Status.REVERSED)


@dataclass(slots=True)
class Told:
    """A claim of a network that may speak. `at`: when it happened, as far as anybody knows.

    `happened_at` is what a report says of it; a conversion that begins with it is of that moment.
    """

    network: Network
    claim: Claim
    at: datetime
    happened_at: datetime | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a postback, and the conversion that it is about, if any."""

    result: Result
    reason: str | None = None
    conversion_id: UUID | None = None
    revision: int | None = None
    word: str | None = None


@dataclass(slots=True)
class Understood:
    """A claim, the one key under which its event is known, and whose it is (if anyone's)."""

    told: Told
    key: str
    owner: Attribution | None
    reason: str | None

    @property
    def nameless_return(self) -> bool:
        """It takes back a payment of a network that pays again, and does not say which."""
        claim = self.told.claim
        takes = claim.txn_id is None and claim.status in _TAKEN_BACK
        return takes and self.told.network.rebill and self.owner is not None


@dataclass(slots=True)
class _Terms:
    """What new conversions are promised: read once for all that may begin."""

    versions: dict[UUID, list[OfferVersion]] = field(default_factory=dict)
    policy: Policy | None = None


def settle(session: Session, told: Sequence[Told], *, now: datetime) -> list[Outcome]:
    """Let each claim take its step, as if one had come after the other; tell it once to others."""
    if not told:
        return []
    understood = _understand(session, told)
    db.advisory_locks(session, _names(understood))
    book = _open(session, understood)
    terms = _terms(session, understood, book, now)
    steps = [_settle(book, terms, one, now) for one in understood]
    conversion_store.write(session, book, now=now)
    if book.revisions:
        events.emit(session, "conversion.changed", {"revisions": len(book.revisions)})
    return [
        Outcome(step.result, step.reason, known.id if known else None, revision)
        for step, known, revision in steps
    ]


def look(session: Session, told: Told) -> tuple[Understood, Conversion | None, Step]:
    """What `settle` would do with this one, without doing it."""
    (one,) = _understand(session, [told])
    book = _open(session, [one], locked=False)
    known = _meant(book, one)
    found = session.get(Conversion, known.id) if known is not None and known.id else None
    return one, found, _step(one, known)


def _understand(session: Session, told: Sequence[Told]) -> list[Understood]:
    owners = attribution.find_all(session, {one.claim.subid for one in told})
    understood = []
    for one in told:
        found = owners[one.claim.subid]
        owner = None if isinstance(found, NoClick) else found
        reason = found.reason if isinstance(found, NoClick) else None
        understood.append(Understood(one, _dedupe_key(one, owner), owner, reason))
    return understood


def _dedupe_key(told: Told, owner: Attribution | None) -> str:
    """The event's one name: (network, txn, goal), else (network, click, goal).

    Networks that pay again for a click without saying which payment it is add amount and day.
    """
    claim = told.claim
    if claim.txn_id is not None:
        return conversion_store.key(told.network.id, "txn", claim.txn_id, claim.goal)
    more = []
    if told.network.rebill and claim.amount is not None:
        more = [str(claim.amount.micro), told.at.date().isoformat()]
    click = owner.click if owner else claim.subid
    return conversion_store.key(told.network.id, "click", click, claim.goal, *more)


def _names(understood: Sequence[Understood]) -> set[str]:
    """What has to stand still meanwhile: each event and, where payments are taken back without
    their number, all payments of the click."""
    names = {f"conversion:{one.key}" for one in understood}
    for one in understood:
        if one.told.network.rebill and one.owner is not None:
            claim = one.told.claim
            names.add(f"payments:{one.told.network.id}:{one.owner.click}:{claim.goal}")
    return names


def _open(session: Session, understood: Sequence[Understood], *, locked: bool = True) -> Book:
    keys = {one.key for one in understood}
    wanted: list[ColumnElement[bool]] = [db.among(Conversion.dedupe_key, keys)]
    for one in understood:
        if one.nameless_return:
            assert one.owner is not None
            wanted.append(conversion_store.payments(one.told.network.id, one.owner))
    if locked:
        return Book(db.lock(session, Conversion, or_(*wanted)))
    return Book(session.scalars(select(Conversion).where(or_(*wanted))).all())


def _terms(session: Session, understood: Sequence[Understood], book: Book, now: datetime) -> _Terms:
    offer_ids = {
        one.owner.offer_id for one in understood if one.owner and one.key not in book.known
    }
    if not offer_ids:
        return _Terms()
    versions: defaultdict[UUID, list[OfferVersion]] = defaultdict(list)
    mine = select(OfferVersion).where(OfferVersion.offer_id.in_(offer_ids))
    for version in session.scalars(mine.order_by(OfferVersion.version.desc())):
        versions[version.offer_id].append(version)
    return _Terms(versions, policy.at(session, now))


def _settle(
    book: Book, terms: _Terms, one: Understood, now: datetime
) -> tuple[Step, Known | None, int | None]:
    known = _meant(book, one)
    step = _step(one, known)
    if step.result == Result.OK:
        if known is None:
            known = book.add(_begun(terms, one, step, now))
        else:
            book.move(known, step, now)
    return step, known, known.revision if known else None


def _meant(book: Book, one: Understood) -> Known | None:
    """The conversion that the claim is about: known by its key, or the newest that it can mean."""
    if not one.nameless_return:
        return book.known.get(one.key)
    assert one.owner is not None
    claim = one.told.claim
    amount = None if claim.amount is None else claim.amount.micro
    return book.newest(one.told.network.id, one.owner, claim.goal, amount)


def _step(one: Understood, known: Known | None) -> Step:
    claim = one.told.claim
    amount = None if claim.amount is None else claim.amount.micro
    if known is not None:
        state = State(known.status, known.amount_micro, known.said_micro)
        return lifecycle.decide(state, status=claim.status, amount_micro=amount)
    nothing = (claim.status, 0)
    if one.owner is None:
        return Step(Result.ORPHAN, one.reason, *nothing)
    if one.nameless_return:
        return Step(Result.QUARANTINED, NOTHING_TO_TAKE_BACK, *nothing)
    lookback = timedelta(days=one.told.network.lookback_days)
    number = one.owner.number
    if number is not None and clickid.at(number) < one.told.at - lookback:
        return Step(Result.QUARANTINED, "outside_lookback", *nothing)
    return lifecycle.decide(None, status=claim.status, amount_micro=amount)


def _begun(terms: _Terms, one: Understood, step: Step, now: datetime) -> Known:
    owner = one.owner
    assert owner is not None, "a conversion begins with a click"
    version = _in_force(terms, owner, now)
    return Known(
        id=None,
        network_id=one.told.network.id,
        key=one.key,
        txn_id=one.told.claim.txn_id,
        goal=one.told.claim.goal,
        owner=owner,
        offer_id=version.offer_id,
        offer_version=version.version,
        share_bps=_share_bps(terms, version, owner),
        status=step.status,
        amount_micro=step.amount_micro,
        revision=1,
        occurred_at=one.told.happened_at or now,
    )


def _in_force(terms: _Terms, owner: Attribution, now: datetime) -> OfferVersion:
    """The terms at the click: what the partner was promised when they sent the visitor."""
    clicked_at = now if owner.number is None else min(clickid.at(owner.number), now)
    versions = terms.versions[owner.offer_id]
    return next((one for one in versions if one.in_force_at <= clicked_at), versions[-1])


def _share_bps(terms: _Terms, version: OfferVersion, owner: Attribution) -> int:
    """The partner's part, fixed when the conversion begins: later terms never rewrite it."""
    assert terms.policy is not None
    if version.mode == Mode.CPC:
        return 0
    if owner.own_content:
        return terms.policy.byop_share_bps
    return terms.policy.partner_share_bps if version.share_bps is None else version.share_bps
