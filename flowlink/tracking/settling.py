"""What postbacks make of conversions: many in one transaction, in the order in which they came.

Everything that a batch needs is read at once, then each claim takes its step in memory, where it
finds what those before it did, and all that changed is written at once. One postback is a batch of
one: replays, reports and the edge run this same code.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import ARRAY, Uuid, any_, bindparam, select
from sqlalchemy.orm import Session

from flowlink.kernel import db, events, policy
from flowlink.kernel.policy import Policy
from flowlink.tracking import attribution, claims, clickid, conversion_store, lifecycle
from flowlink.tracking.attribution import Attribution, NoClick
from flowlink.tracking.claims import Claim
from flowlink.tracking.conversion_store import Book, Known
from flowlink.tracking.lifecycle import State, Step
from flowlink.tracking.models import Conversion, Mode, Network, OfferVersion, Result, Status

NOTHING_TO_TAKE_BACK = "nothing_to_take_back"
# Built once: to build it for each batch takes longer than to run it.
_VERSIONS = (
    select(OfferVersion)
    .where(OfferVersion.offer_id == any_(bindparam("offers", type_=ARRAY(Uuid))))
    .order_by(OfferVersion.version.desc())
)
_TAKEN_BACK = (Status.REJECTED, Status.REVERSED)


@dataclass(slots=True)
class Payer:
    """What a batch has to know of a network, read once for all that it sent."""

    id: UUID
    rebill: bool
    lookback: timedelta
    reader: claims.Reader

    @classmethod
    def of(cls, network: Network) -> "Payer":
        """The network as it stands now."""
        lookback = timedelta(days=network.lookback_days)
        return cls(network.id, network.rebill, lookback, claims.Reader(network))


@dataclass(slots=True)
class Told:
    """A claim of a network that may speak. `at`: when it happened, as far as anybody knows.

    `happened_at` is what a report says of it; a conversion that begins with it is of that moment.
    """

    network: Payer
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
    """A claim, the one key under which its event is known, and whose it is (if anyone's).

    A `nameless_return` takes back a payment of a network that pays again, and says not which.
    """

    told: Told
    key: str
    owner: Attribution | None
    reason: str | None
    nameless_return: bool


class _Terms(NamedTuple):
    """What a version of an offer promises: the partner's part, and that for their own content."""

    offer_id: UUID
    version: int
    in_force_at: datetime
    share_bps: int
    own_share_bps: int


_Promised = Mapping[UUID, Sequence[_Terms]]


def settle(session: Session, told: Sequence[Told], *, now: datetime) -> list[Outcome]:
    """Let each claim take its step, as if one had come after the other; tell it once to others."""
    if not told:
        return []
    understood = _understand(session, told)
    db.advisory_locks(session, _names(understood))
    book = _open(session, understood)
    promised = _promised(session, understood, book, now)
    steps = [_settle(book, promised, one, now) for one in understood]
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
    return one, found, _step(book, one, known)


def _understand(session: Session, told: Sequence[Told]) -> list[Understood]:
    owners = attribution.find_all(session, {one.claim.subid for one in told})
    understood = []
    for one in told:
        found = owners[one.claim.subid]
        owner, reason = (None, found.reason) if isinstance(found, NoClick) else (found, None)
        nameless = owner is not None and one.network.rebill and _takes_back_unnamed(one.claim)
        understood.append(Understood(one, _dedupe_key(one, owner), owner, reason, nameless))
    return understood


def _takes_back_unnamed(claim: Claim) -> bool:
    return claim.txn_id is None and claim.status in _TAKEN_BACK


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
    others = [
        conversion_store.payments(one.told.network.id, one.owner)
        for one in understood
        if one.owner is not None and (one.nameless_return or _is_old(one))
    ]
    return conversion_store.open_book(session, keys=keys, others=others, locked=locked)


def _promised(
    session: Session, understood: Sequence[Understood], book: Book, now: datetime
) -> _Promised:
    """The terms of all offers of which conversions may begin, the newest first."""
    offer_ids = {
        one.owner.offer_id for one in understood if one.owner and one.key not in book.known
    }
    if not offer_ids:
        return {}
    shares = policy.at(session, now)
    promised: defaultdict[UUID, list[_Terms]] = defaultdict(list)
    for version in session.scalars(_VERSIONS, {"offers": list(offer_ids)}):
        promised[version.offer_id].append(_terms(version, shares))
    return promised


def _terms(version: OfferVersion, shares: Policy) -> _Terms:
    """With the partner's part as it is fixed now: later terms never rewrite a conversion."""
    share = shares.partner_share_bps if version.share_bps is None else version.share_bps
    own_share = shares.byop_share_bps
    if version.mode == Mode.CPC:
        share = own_share = 0
    return _Terms(version.offer_id, version.version, version.in_force_at, share, own_share)


def _settle(
    book: Book, promised: _Promised, one: Understood, now: datetime
) -> tuple[Step, Known | None, int | None]:
    known = _meant(book, one)
    step = _step(book, one, known)
    if step.result == Result.OK:
        if known is None:
            known = book.add(_begun(promised, one, step, now))
        else:
            book.move(known, step, now)
    if known is not None and (said_at := _changed_at(one)) is not None:
        counts = step.result == Result.OK or step.reason == lifecycle.ALREADY_KNOWN
        word = one.told.claim.status
        book.date(known, known.moments.with_word(word, said_at, counts=counts))
    return step, known, known.revision if known else None


def _meant(book: Book, one: Understood) -> Known | None:
    """The conversion that the claim is about: known by its key, or the newest that it can mean."""
    if not one.nameless_return:
        return book.known.get(one.key)
    assert one.owner is not None
    claim = one.told.claim
    amount = None if claim.amount is None else claim.amount.micro
    return book.newest(one.told.network.id, one.owner, claim.goal, amount)


def _is_old(one: Understood) -> bool:
    """Whether its click is older than the network looks back."""
    number = one.owner.number if one.owner else None
    return number is not None and clickid.at(number) < one.told.at - one.told.network.lookback


def _is_rebill(book: Book, one: Understood) -> bool:
    """Whether its network has had a sale of the same click and goal: that one was in time."""
    assert one.owner is not None, "only a click has payments"
    return book.has_begun(one.told.network.id, one.owner, one.told.claim.goal)


def _step(book: Book, one: Understood, known: Known | None) -> Step:
    claim = one.told.claim
    amount = None if claim.amount is None else claim.amount.micro
    if known is not None:
        state = State(known.status, known.amount_micro, known.said_micro, known.moments)
        said_at = _changed_at(one)
        return lifecycle.decide(state, status=claim.status, amount_micro=amount, changed_at=said_at)
    nothing = (claim.status, 0)
    if one.owner is None:
        return Step(Result.ORPHAN, one.reason, *nothing)
    if one.nameless_return:
        return Step(Result.QUARANTINED, NOTHING_TO_TAKE_BACK, *nothing)
    if _is_old(one) and not _is_rebill(book, one):
        return Step(Result.QUARANTINED, "outside_lookback", *nothing)
    return lifecycle.decide(None, status=claim.status, amount_micro=amount)


def _changed_at(one: Understood) -> datetime | None:
    """Of which moment the word is, as far as the network says. Nobody knows what is to come: a
    clock that is ahead must not outdate all that follows."""
    said = one.told.claim.changed_at
    return None if said is None else min(said, one.told.at)


def _begun(promised: _Promised, one: Understood, step: Step, now: datetime) -> Known:
    owner = one.owner
    assert owner is not None, "a conversion begins with a click"
    terms = _in_force(promised[owner.offer_id], owner, now)
    return Known(
        id=None,
        network_id=one.told.network.id,
        key=one.key,
        txn_id=one.told.claim.txn_id,
        goal=one.told.claim.goal,
        owner=owner,
        offer_id=terms.offer_id,
        offer_version=terms.version,
        share_bps=terms.own_share_bps if owner.own_content else terms.share_bps,
        status=step.status,
        amount_micro=step.amount_micro,
        revision=1,
        occurred_at=one.told.happened_at or now,
    )


def _in_force(terms: Sequence[_Terms], owner: Attribution, now: datetime) -> _Terms:
    """The terms at the click: what the partner was promised when they sent the visitor."""
    clicked_at = now if owner.number is None else min(clickid.at(owner.number), now)
    for one in terms:
        if one.in_force_at <= clicked_at:
            return one
    return terms[-1]
