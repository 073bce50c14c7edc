"""Offers for programs: made, changed, paused and funded. Each change is a version of its own."""

from dataclasses import replace
from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema
from sqlalchemy.orm import Session

from flowlink.identity.deps import Operator
from flowlink.kernel import clock, ids, settings
from flowlink.kernel.money import BadAmount, Money
from flowlink.tracking import budgets, networks, offers, payable, queries
from flowlink.tracking.ids import OFFER, OfferId
from flowlink.tracking.models import Mode, Network, Offer, OfferVersion
from flowlink.tracking.offers import OfferIn
from flowlink.web.amounts import Amount, money_json
from flowlink.web.forms import MomentField
from flowlink.web.sessions import Db

router = APIRouter(prefix="/offers")

_FULL_BPS = 10_000
_MOST_VERSIONS = 500


def _amount(value: Any) -> Money:
    """`"0.085"`, `0.085`, or `{"amount": "0.085", "currency": "EUR"}`, down to the millionth."""
    if isinstance(value, dict) and value.keys() <= {"amount", "currency"}:
        if value.get("currency", "EUR") != "EUR":
            raise BadAmount
        value = value.get("amount")
    if value is None or isinstance(value, bool | dict | list):
        raise BadAmount
    text = str(value).strip().replace(",", ".")
    if not text.isascii() or "_" in text:  # Python would read both
        raise BadAmount
    try:
        number = Decimal(text)
    except InvalidOperation:
        raise BadAmount from None
    return Money.exact(number)


def _share(value: Any) -> int:
    """A fraction of one, as basis points."""
    bps = _amount(value).micro * _FULL_BPS
    if bps % 1_000_000 or isinstance(value, dict):
        raise offers.BadShare
    return bps // 1_000_000


_NUMBER = {"anyOf": [{"type": "string"}, {"type": "number"}], "examples": ["0.12"]}
AmountField = Annotated[Money, PlainValidator(_amount), WithJsonSchema(_NUMBER)]
ShareField = Annotated[int, PlainValidator(_share), WithJsonSchema(_NUMBER)]
Host = Annotated[str, Field(max_length=260)]
Hosts = Annotated[list[Host], Field(max_length=100)]
Destination = Annotated[str, Field(max_length=2000, examples=["https://shop.example/landing"])]


class OfferBody(BaseModel):
    """An offer. `cpc` with mode cpc only; `share` of revenue, else the policy's.

    `budget` is paid in at once, and clicks are paid from nothing else. Caps bound what clicks
    cost: of one partner in a UTC day, of all in a day, for ever.
    """

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=40, examples=["summer"])
    network: str = Field(max_length=60, examples=["direct"])
    mode: Mode
    destination: Destination
    share: ShareField | None = None
    cpc: AmountField | None = None
    budget: AmountField | None = None
    cap_daily: AmountField | None = None
    cap_partner_daily: AmountField | None = None
    cap_total: AmountField | None = None
    starts_at: MomentField | None = None
    ends_at: MomentField | None = None
    allowed_hosts: Hosts = Field(default_factory=list)


class OfferChange(BaseModel):
    """What becomes different; what is left out stays. `version`: refuse unless it is the latest."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = None
    mode: Mode | None = None
    destination: Destination | None = None
    share: ShareField | None = None
    cpc: AmountField | None = None
    cap_daily: AmountField | None = None
    cap_partner_daily: AmountField | None = None
    cap_total: AmountField | None = None
    starts_at: MomentField | None = None
    ends_at: MomentField | None = None
    allowed_hosts: Hosts | None = None
    active: bool | None = None


class BudgetBody(BaseModel):
    """Money into the budget, or with `take_back` out of it. The same `once` works once."""

    model_config = ConfigDict(extra="forbid")

    amount: AmountField
    take_back: bool = False
    once: str = Field(default="", max_length=64)


class TermsOut(BaseModel):
    mode: str
    destination: str
    share: str | None
    cpc: Amount | None
    cap_daily: Amount | None
    cap_partner_daily: Amount | None
    cap_total: Amount | None
    starts_at: datetime | None
    ends_at: datetime | None
    allowed_hosts: list[str]
    version: int
    active: bool


class OfferOut(TermsOut):
    """`budget` is what clicks can still cost; `stopped` says why they earn nothing now, if so."""

    id: str
    name: str
    network: str
    budget: Amount
    stopped: str | None
    created_at: datetime


class VersionOut(TermsOut):
    """The terms from `in_force_at` until the next version."""

    in_force_at: datetime
    actor: str


class OfferList(BaseModel):
    offers: list[OfferOut]


class VersionList(BaseModel):
    versions: list[VersionOut]


@router.post("", status_code=201)
def create_offer(session: Db, actor: Operator, body: OfferBody) -> OfferOut:
    """Add an offer of a network. Partners can make links to it at once."""
    network = networks.named(session, body.network)
    given = OfferIn(
        name=body.name,
        mode=body.mode,
        destination=body.destination,
        share_bps=body.share,
        cpc=body.cpc,
        budget=body.budget,
        cap_daily=body.cap_daily,
        cap_partner_daily=body.cap_partner_daily,
        cap_total=body.cap_total,
        starts_at=body.starts_at,
        ends_at=body.ends_at,
        allowed_hosts=body.allowed_hosts,
    )
    offer = offers.create(
        session, given=given, network=network, actor=actor.label, now=clock.now(), ip=actor.ip
    )
    return _offer(session, offer, network)


@router.get("")
def list_offers(session: Db, _: Operator) -> OfferList:
    """All offers."""
    return OfferList(offers=[_offer(session, *row) for row in queries.all_offers(session)])


@router.get("/{offer}")
def get_offer(session: Db, _: Operator, offer: str) -> OfferOut:
    """An offer by its name or its id."""
    return _shown(session, offers.named(session, offer))


@router.patch("/{offer}")
def change_offer(session: Db, actor: Operator, offer: str, body: OfferChange) -> OfferOut:
    """Other terms from now on, as a new version; what happened before keeps the old ones."""
    found = offers.named(session, offer)
    given = {name: getattr(body, name) for name in body.model_fields_set - {"version"}}
    if "share" in given:
        given["share_bps"] = given.pop("share")
    if given.get("mode") == Mode.REVSHARE:
        given.setdefault("cpc", None)
    offers.change(
        session,
        offer_id=OfferId(found.id),
        terms=replace(offers.terms_of(found), **_said(given)),
        version=found.version if body.version is None else body.version,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return _shown(session, found)


@router.post("/{offer}/budget")
def change_budget(session: Db, actor: Operator, offer: str, body: BudgetBody) -> OfferOut:
    """Pay into the offer's budget, or take out what clicks have not used."""
    found = offers.named(session, offer)
    move = budgets.take_back if body.take_back else budgets.fund
    move(
        session,
        offer=found,
        amount=body.amount,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
        once=body.once,
    )
    return _shown(session, found)


@router.get("/{offer}/versions")
def list_versions(session: Db, _: Operator, offer: str) -> VersionList:
    """Every version of the terms, the newest first."""
    found = offers.named(session, offer)
    versions = payable.versions(session, [found.id])[found.id][:_MOST_VERSIONS]
    return VersionList(
        versions=[
            VersionOut(**_terms(each), in_force_at=each.in_force_at, actor=each.actor)
            for each in versions
        ]
    )


def _said(given: dict[str, Any]) -> dict[str, Any]:
    """Without nulls where a term cannot be empty: there a null says nothing."""
    never_empty = ("mode", "destination", "allowed_hosts", "active")
    return {
        name: value for name, value in given.items() if value is not None or name not in never_empty
    }


def _shown(session: Session, offer: Offer) -> OfferOut:
    return _offer(session, offer, session.get_one(Network, offer.network_id))


def _offer(session: Session, offer: Offer, network: Network) -> OfferOut:
    left = budgets.left(session, [offer.id])[offer.id]
    stopped = budgets.stop_of(offer, left=left, now=clock.now())
    return OfferOut(
        **_terms(offer),
        id=ids.public(OFFER, offer.id),
        name=offer.name,
        network=network.name,
        budget=money_json(left),
        stopped=None if stopped is None else str(stopped),
        created_at=offer.created_at,
    )


def _terms(offer: Offer | OfferVersion) -> dict[str, Any]:
    share = None if offer.share_bps is None else f"{Decimal(offer.share_bps) / _FULL_BPS:f}"
    return {
        "mode": str(offer.mode),
        "destination": offer.destination.replace("{base_url}", settings.current().url),
        "share": share,
        "cpc": _money(offer.cpc_micro),
        "cap_daily": _money(offer.cap_daily_micro),
        "cap_partner_daily": _money(offer.cap_partner_daily_micro),
        "cap_total": _money(offer.cap_total_micro),
        "starts_at": offer.starts_at,
        "ends_at": offer.ends_at,
        "allowed_hosts": offer.allowed_hosts,
        "version": offer.version,
        "active": offer.active,
    }


def _money(micro: int | None) -> Amount | None:
    return None if micro is None else money_json(Money(micro))
