"""Networks and offers, for operators and their programs."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from flowlink.identity.deps import Operator
from flowlink.kernel import clock, ids
from flowlink.tracking import networks, offer_api, queries
from flowlink.tracking.ids import NETWORK
from flowlink.tracking.models import AmountUnit, Network, Status
from flowlink.tracking.networks import NetworkIn
from flowlink.web.sessions import Db

router = APIRouter(prefix="/api/admin")
router.include_router(offer_api.router)

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
