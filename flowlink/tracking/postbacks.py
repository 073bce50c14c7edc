"""Postbacks: kept as they come, then understood; and what they make of conversions.

Two steps, so that nothing is lost: `keep` stores the raw request (its key taken out) and tells
whether its sender may speak; `process` reads it through the network's map and moves the
conversion. `process` may run again at any time: replays, late clicks and new words use it.
"""

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address, ip_network
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel import db, events, policy
from flowlink.kernel.errors import NotFound
from flowlink.tracking import attribution, claims, clickid, lifecycle, networks, offers
from flowlink.tracking.attribution import Attribution, NoClick
from flowlink.tracking.claims import Claim, Unreadable
from flowlink.tracking.ids import OfferId, PostbackId
from flowlink.tracking.lifecycle import State, Step
from flowlink.tracking.models import (
    Conversion,
    ConversionRevision,
    Link,
    Mode,
    Network,
    OfferVersion,
    Postback,
    Result,
    Status,
)

WRONG_KEY = "wrong_key"
REMATCH_DAYS = 7
_REMATCH_BATCH = 500


class UnknownPostback(NotFound):
    message = "There is no such postback."


@dataclass(frozen=True, slots=True)
class PostbackIn:
    """A network's request as it came."""

    method: str
    query: str
    content_type: str = ""
    body: bytes = b""
    address: str = ""


@dataclass(frozen=True, slots=True)
class PostbackResult:
    """What became of it."""

    result: Result
    reason: str | None
    postback_id: PostbackId | None = None
    conversion_id: UUID | None = None

    def answer(self) -> dict[str, str]:
        """The JSON that the network reads (spec 3)."""
        return {"result": self.result.value} | ({"reason": self.reason} if self.reason else {})


@dataclass(frozen=True, slots=True)
class Preview:
    """What a postback would do: for operators who set up a network."""

    result: Result
    reason: str | None
    network: Network | None
    fields: dict[str, list[str]]
    claim: Claim | None
    attribution: Attribution | None
    conversion: Conversion | None
    step: Step | None


@dataclass(frozen=True, slots=True)
class _Understood:
    """A claim, the one key under which its event is known, and whose it is (if anyone's)."""

    claim: Claim
    key: str
    attribution: Attribution | None
    reason: str | None


def receive(session: Session, *, request: PostbackIn, now: datetime) -> PostbackResult:
    """Keep and understand in one transaction: for callers that cannot lose the request."""
    return process(session, postback_id=keep(session, request=request, now=now), now=now)


def keep(session: Session, *, request: PostbackIn, now: datetime) -> PostbackId:
    """Store the request before anything is made of it, with the verdict on its sender."""
    fields = claims.fields_of(request.query, request.content_type, request.body)
    network, why_not = _sender(session, fields, request.address, now)
    postback = Postback(
        received_at=now,
        method=request.method,
        query=claims.without_key(request.query).replace("\x00", "%00"),
        content_type=request.content_type.replace("\x00", ""),
        body=_kept_body(request, why_not),
        address=request.address,
        network_id=network.id if network else None,
        key_ok=why_not != WRONG_KEY and network is not None,
        result=Result.REJECTED if why_not else Result.RECEIVED,
        reason=why_not,
        handled_at=now if why_not else None,
        attempts=0,
    )
    session.add(postback)
    session.flush()  # its id is the answer
    return PostbackId(postback.id)


def process(session: Session, *, postback_id: PostbackId, now: datetime) -> PostbackResult:
    """Understand a kept postback and move its conversion; one that is settled stays as it is.

    :raises UnknownPostback:
    """
    found = db.lock(session, Postback, Postback.id == postback_id)
    if not found:
        raise UnknownPostback
    postback = found[0]
    if postback.result in {Result.OK, Result.DUPLICATE, Result.REJECTED}:
        return _result(postback)
    network = session.get(Network, postback.network_id)
    assert network is not None, "only rejected postbacks have no network"
    postback.attempts += 1
    postback.handled_at = now
    fields = claims.fields_of(postback.query, postback.content_type, postback.body)
    try:
        understood = _understand(session, network, fields, postback.at)
    except Unreadable as error:
        postback.result, postback.reason = Result.QUARANTINED, error.reason
        postback.word = error.word
        return _result(postback)
    db.advisory_lock(session, f"conversion:{understood.key}")
    conversion = next(
        iter(db.lock(session, Conversion, Conversion.dedupe_key == understood.key)), None
    )
    step = _step(session, network, understood, conversion, postback.at)
    postback.result, postback.reason = step.result, step.reason
    if step.result == Result.OK:
        conversion = _move(session, network, understood, conversion, step, now)
    if conversion is not None:
        postback.conversion_id, postback.revision = conversion.id, conversion.revision
    return _result(postback)


def preview(session: Session, *, request: PostbackIn, now: datetime) -> Preview:
    """What `receive` would do with this request, without doing it."""
    fields = claims.fields_of(request.query, request.content_type, request.body)
    network, why_not = _sender(session, fields, request.address, now)
    if network is None or why_not is not None:
        shown = {name: values for name, values in fields.items() if name != "key"}
        return Preview(Result.REJECTED, why_not, network, shown, None, None, None, None)
    return preview_of(session, network=network, fields=fields, at=now)


def preview_of(
    session: Session, *, network: Network, fields: dict[str, list[str]], at: datetime
) -> Preview:
    """The same of fields that the network says for certain; `at` is when it happened."""
    shown = {name: values for name, values in fields.items() if name != "key"}
    try:
        understood = _understand(session, network, fields, at)
    except Unreadable as error:
        return Preview(Result.QUARANTINED, error.reason, network, shown, None, None, None, None)
    conversion = session.scalar(select(Conversion).where(Conversion.dedupe_key == understood.key))
    step = _step(session, network, understood, conversion, at)
    return Preview(
        step.result,
        step.reason,
        network,
        shown,
        understood.claim,
        understood.attribution,
        conversion,
        step,
    )


def waiting(
    session: Session, *, now: datetime, after: PostbackId | None = None
) -> list[PostbackId]:
    """Orphans of the last days and what was never understood, oldest first, a batch at a time."""
    rows = (
        select(Postback.id)
        .where(
            Postback.result.in_([Result.ORPHAN, Result.RECEIVED]),
            Postback.received_at > now - timedelta(days=REMATCH_DAYS),
        )
        .order_by(Postback.id)
        .limit(_REMATCH_BATCH)
    )
    if after is not None:
        rows = rows.where(Postback.id > after)
    return [PostbackId(key) for key in session.scalars(rows)]


def _sender(
    session: Session, fields: dict[str, list[str]], address: str, now: datetime
) -> tuple[Network | None, str | None]:
    """Who sent it, and why they may not (spec 3: 401 only for a wrong key)."""
    key = fields.get("key", [""])[0]
    name = fields.get("network", [""])[0]
    if not name:
        network = networks.by_key(session, key) if key else None
        known = network is not None and networks.key_fits(network, key, now=now)
        return (network, refusal(network, address)) if network and known else (None, WRONG_KEY)
    same_name = func.lower(Network.name) == name.lower()
    network = None if "\x00" in name else session.scalar(select(Network).where(same_name))
    if network is None:
        return None, "unknown_network"
    if not networks.key_fits(network, key, now=now):
        return network, WRONG_KEY
    return network, refusal(network, address)


def _kept_body(request: PostbackIn, why_not: str | None) -> bytes:
    """Nothing of a stranger's: it may be large, or hold a key where we do not look for it."""
    if why_not == WRONG_KEY:
        return b""
    return claims.body_without_key(request.content_type, request.body)


def refusal(network: Network, address: str) -> str | None:
    """Why this network may not speak from this address; None when it may."""
    if not network.active:
        return "network_inactive"
    if not network.addresses:
        return None
    try:
        sender = ip_address(address)
    except ValueError:
        return "address_not_allowed"
    allowed = any(sender in ip_network(known) for known in network.addresses)
    return None if allowed else "address_not_allowed"


def _understand(
    session: Session, network: Network, fields: dict[str, list[str]], at: datetime
) -> _Understood:
    claim = claims.read(network, fields)
    try:
        found, reason = attribution.find(session, claim.subid), None
    except NoClick as error:
        found, reason = None, error.reason
    return _Understood(claim, _dedupe_key(network, claim, found, at), found, reason)


def _dedupe_key(network: Network, claim: Claim, found: Attribution | None, at: datetime) -> str:
    """The event's one name: (network, txn, goal), else (network, click, goal).

    Networks that pay again for a click without saying which payment it is add amount and day.
    """
    if claim.txn_id is not None:
        parts = ["txn", claim.txn_id, claim.goal]
    else:
        parts = ["click", found.click if found else claim.subid, claim.goal]
        if network.rebill and claim.amount is not None:
            parts += [str(claim.amount.micro), at.date().isoformat()]
    return json.dumps([str(network.id), *parts])


def _step(
    session: Session,
    network: Network,
    understood: _Understood,
    conversion: Conversion | None,
    received_at: datetime,
) -> Step:
    claim = understood.claim
    amount = None if claim.amount is None else claim.amount.micro
    if conversion is None:
        nothing = (claim.status, 0)
        if understood.attribution is None:
            return Step(Result.ORPHAN, understood.reason, *nothing)
        number = understood.attribution.number
        lookback = timedelta(days=network.lookback_days)
        if number is not None and clickid.at(number) < received_at - lookback:
            return Step(Result.QUARANTINED, "outside_lookback", *nothing)
        return lifecycle.decide(None, status=claim.status, amount_micro=amount)
    state = State(Status(conversion.status), conversion.amount_micro)
    return lifecycle.decide(state, status=claim.status, amount_micro=amount)


def _move(
    session: Session,
    network: Network,
    understood: _Understood,
    conversion: Conversion | None,
    step: Step,
    now: datetime,
) -> Conversion:
    """Bring the conversion to its next revision and tell those who post its money."""
    if conversion is None:
        conversion = _begin(session, network, understood, step, now)
    else:
        conversion.revision += 1
        conversion.status, conversion.amount_micro = step.status, step.amount_micro
        conversion.updated_at = now
    session.flush()  # the revision needs the conversion's key
    session.add(
        ConversionRevision(
            conversion_id=conversion.id,
            revision=conversion.revision,
            status=step.status,
            amount_micro=step.amount_micro,
            at=now,
        )
    )
    payload = {"conversion_id": str(conversion.id), "revision": conversion.revision}
    events.emit(session, "conversion.changed", payload)
    return conversion


def _begin(
    session: Session, network: Network, understood: _Understood, step: Step, now: datetime
) -> Conversion:
    found = understood.attribution
    assert found is not None, "a conversion begins with a click"
    terms = _terms(session, found, now)
    conversion = Conversion(
        network_id=network.id,
        dedupe_key=understood.key,
        txn_id=understood.claim.txn_id,
        goal=understood.claim.goal,
        click_id=found.number,
        link_id=found.link_id,
        partner_id=found.partner_id,
        offer_id=terms.offer_id,
        offer_version=terms.version,
        share_bps=_share_bps(session, terms, found, now),
        status=step.status,
        amount_micro=step.amount_micro,
        currency="EUR",
        revision=1,
        occurred_at=now,
        updated_at=now,
    )
    session.add(conversion)
    return conversion


def _terms(session: Session, found: Attribution, now: datetime) -> OfferVersion:
    """Those in force at the click: what the partner was promised when they sent the visitor."""
    clicked_at = now if found.number is None else min(clickid.at(found.number), now)
    return offers.in_force(session, offer_id=OfferId(found.offer_id), at=clicked_at)


def _share_bps(session: Session, terms: OfferVersion, found: Attribution, now: datetime) -> int:
    """The partner's part, fixed when the conversion begins: later terms never rewrite it."""
    if terms.mode == Mode.CPC:
        return 0
    own_content = session.scalar(select(Link.own_content).where(Link.id == found.link_id))
    if own_content:
        return policy.at(session, now).byop_share_bps
    return policy.at(session, now).partner_share_bps if terms.share_bps is None else terms.share_bps


def _result(postback: Postback) -> PostbackResult:
    return PostbackResult(
        result=Result(postback.result),
        reason=postback.reason,
        postback_id=PostbackId(postback.id),
        conversion_id=postback.conversion_id,
    )
