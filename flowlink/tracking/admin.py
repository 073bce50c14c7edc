"""Networks and offers, for operators and their programs."""

from datetime import datetime
from decimal import Decimal, InvalidOperation
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field, PlainValidator, WithJsonSchema

from flowlink.identity.deps import Operator
from flowlink.kernel import clock, ids, settings
from flowlink.kernel.money import BadAmount, Money
from flowlink.tracking import networks, offers, queries
from flowlink.tracking.ids import NETWORK, OFFER
from flowlink.tracking.models import AmountUnit, Mode, Network, Offer, Status
from flowlink.tracking.networks import NetworkIn
from flowlink.tracking.offers import OfferIn
from flowlink.web.amounts import Amount, money_json
from flowlink.web.sessions import Db

router = APIRouter(prefix="/api/admin")

_FULL_BPS = 10_000


def _amount(value: Any) -> Money:
    """`"0.085"`, `0.085`, or `{"amount": "0.085", "currency": "EUR"}`, down to the millionth."""
    if isinstance(value, dict) and value.keys() <= {"amount", "currency"}:
        if value.get("currency", "EUR") != "EUR":
            raise BadAmount
        value = value.get("amount")
    if value is None or isinstance(value, bool | dict | list):
        raise BadAmount
    try:
        number = Decimal(str(value).strip().replace(",", "."))
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
Word = Annotated[str, Field(max_length=64)]


class NetworkBody(BaseModel):
    """A network. `fields`: ours -> theirs; `statuses`: their word -> ours, or ours -> words."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=40, examples=["acme"])
    fields: dict[Word, Word] = Field(default_factory=dict, max_length=20)
    statuses: dict[Word, Word | list[Word]] = Field(default_factory=dict, max_length=100)
    click_param: Word | None = None
    default_status: Status | None = Status.APPROVED
    amount_unit: AmountUnit = AmountUnit.UNITS
    currency: Word | None = None
    key: str | None = Field(default=None, max_length=200)
    addresses: list[Word] = Field(default_factory=list, max_length=100)
    rebill: bool = False
    lookback_days: int = Field(default=90, ge=1, le=3650)


class NetworkOut(BaseModel):
    id: str
    name: str
    click_param: str
    fields: dict[str, str]
    statuses: dict[str, str]
    default_status: str | None
    amount_unit: str
    currency: str | None
    addresses: list[str]
    rebill: bool
    lookback_days: int
    active: bool
    created_at: datetime


class NewNetworkOut(NetworkOut):
    """With what only its maker is shown: the key, and the address to give to the network."""

    key: str
    postback_url: str


class NetworkList(BaseModel):
    networks: list[NetworkOut]


class OfferBody(BaseModel):
    """An offer. `cpc` with mode cpc only; `share` of revenue, else the policy's."""

    model_config = ConfigDict(extra="forbid")

    name: str = Field(max_length=40, examples=["summer"])
    network: str = Field(max_length=60, examples=["direct"])
    mode: Mode
    destination: str = Field(max_length=2000, examples=["https://shop.example/landing"])
    share: ShareField | None = None
    cpc: AmountField | None = None
    budget: AmountField | None = None
    daily_budget: AmountField | None = None
    allowed_hosts: list[Annotated[str, Field(max_length=260)]] = Field(
        default_factory=list, max_length=100
    )


class OfferOut(BaseModel):
    id: str
    name: str
    network: str
    mode: str
    destination: str
    share: str | None
    cpc: Amount | None
    budget: Amount | None
    daily_budget: Amount | None
    allowed_hosts: list[str]
    version: int
    active: bool
    created_at: datetime


class OfferList(BaseModel):
    offers: list[OfferOut]


@router.post("/networks", status_code=201)
def create_network(session: Db, actor: Operator, body: NetworkBody) -> NewNetworkOut:
    """Add a network. Its key is shown this once; `flowlink admin postback-url` shows it again."""
    given = NetworkIn(
        name=body.name,
        fields=body.fields,
        statuses=_words(body.statuses),
        click_param=body.click_param,
        default_status=body.default_status,
        amount_unit=body.amount_unit,
        currency=body.currency,
        key=body.key,
        addresses=body.addresses,
        rebill=body.rebill,
        lookback_days=body.lookback_days,
    )
    network = networks.create(session, given=given, actor=actor.label, now=clock.now(), ip=actor.ip)
    return NewNetworkOut(
        **_network(network), key=networks.key_of(network), postback_url=networks.url_of(network)
    )


@router.get("/networks")
def list_networks(session: Db, _: Operator) -> NetworkList:
    """All networks, without their keys."""
    return NetworkList(networks=[NetworkOut(**_network(one)) for one in queries.networks(session)])


@router.post("/offers", status_code=201)
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
        daily_budget=body.daily_budget,
        allowed_hosts=body.allowed_hosts,
    )
    offer = offers.create(
        session, given=given, network=network, actor=actor.label, now=clock.now(), ip=actor.ip
    )
    return _offer(offer, network)


@router.get("/offers")
def list_offers(session: Db, _: Operator) -> OfferList:
    """All offers."""
    return OfferList(offers=[_offer(*row) for row in queries.all_offers(session)])


def _words(given: dict[str, str | list[str]]) -> dict[str, str]:
    """Every word with its meaning, also from `{"approved": ["1", "sale"]}`."""
    words: dict[str, str] = {}
    for left, right in given.items():
        words |= dict.fromkeys(right, left) if isinstance(right, list) else {left: right}
    return words


def _network(network: Network) -> dict[str, Any]:
    return {
        "id": ids.public(NETWORK, network.id),
        "name": network.name,
        "click_param": network.click_param,
        "fields": network.fields,
        "statuses": network.statuses,
        "default_status": network.default_status,
        "amount_unit": network.amount_unit,
        "currency": network.fixed_currency,
        "addresses": network.addresses,
        "rebill": network.rebill,
        "lookback_days": network.lookback_days,
        "active": network.active,
        "created_at": network.created_at,
    }


def _offer(offer: Offer, network: Network) -> OfferOut:
    share = None if offer.share_bps is None else f"{Decimal(offer.share_bps) / _FULL_BPS:f}"
    return OfferOut(
        id=ids.public(OFFER, offer.id),
        name=offer.name,
        network=network.name,
        mode=offer.mode,
        destination=offer.destination.replace("{base_url}", settings.current().url),
        share=share,
        cpc=_money(offer.cpc_micro),
        budget=_money(offer.budget_micro),
        daily_budget=_money(offer.daily_budget_micro),
        allowed_hosts=offer.allowed_hosts,
        version=offer.version,
        active=offer.active,
        created_at=offer.created_at,
    )


def _money(micro: int | None) -> Amount | None:
    return None if micro is None else money_json(Money(micro))
