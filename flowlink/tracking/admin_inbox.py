"""The inbox for programs: networks that change, words taught, postbacks tried and replayed."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from flowlink.identity.deps import Operator
from flowlink.kernel import clock, ids
from flowlink.tracking import (
    claims,
    network_changes,
    networks,
    postbacks,
    presets,
    replays,
)
from flowlink.tracking.ids import CONVERSION, NETWORK, POSTBACK, NetworkId, PostbackId
from flowlink.tracking.models import AmountUnit, Network, Result, Status
from flowlink.tracking.network_changes import NetworkMap
from flowlink.tracking.postbacks import PostbackIn, Preview
from flowlink.tracking.replays import Chosen
from flowlink.web.sessions import Db

router = APIRouter(prefix="/api/admin")

_MAY_BE_NOTHING = ("default_status", "currency")

Word = Annotated[str, Field(max_length=64)]


class NetworkChange(BaseModel):
    """What is to change; what is left out stays. `null` takes a default status or currency away."""

    model_config = ConfigDict(extra="forbid")

    click_param: Word | None = None
    fields: dict[Word, Word] | None = Field(default=None, max_length=20)
    statuses: dict[Word, Status] | None = Field(default=None, max_length=100)
    default_status: Status | None = None
    amount_unit: AmountUnit | None = None
    currency: Word | None = None
    addresses: list[Word] | None = Field(default=None, max_length=100)
    rebill: bool | None = None
    lookback_days: int | None = Field(default=None, ge=1, le=3650)
    active: bool | None = None


class NetworkState(BaseModel):
    """A network's whole map."""

    id: str
    name: str
    preset: str | None
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
    old_key_until: datetime | None


class NetworkWithKey(NetworkState):
    """With what only its maker is shown."""

    key: str
    postback_url: str


class PresetOut(BaseModel):
    name: str
    title: str
    click_param: str
    places: dict[str, str]
    statuses: dict[str, str]
    default_status: str | None
    note: str
    source_title: str
    source_url: str


class PresetList(BaseModel):
    presets: list[PresetOut]


class FromPreset(BaseModel):
    model_config = ConfigDict(extra="forbid")

    preset: str = Field(max_length=40)
    name: str = Field(default="", max_length=40)
    key: str | None = Field(default=None, max_length=200)


class KeyIn(BaseModel):
    """`grace_days`: for how long the old key is believed besides the new one."""

    model_config = ConfigDict(extra="forbid")

    grace_days: int = Field(default=7, ge=0, le=network_changes.GRACE_DAYS_MAX)
    key: str | None = Field(default=None, max_length=200)


class WordIn(BaseModel):
    model_config = ConfigDict(extra="forbid")

    word: str = Field(min_length=1, max_length=64)
    meaning: Status


class TryIn(BaseModel):
    """A query as a network would send it, with its `network` and `key`; or its whole address."""

    model_config = ConfigDict(extra="forbid")

    query: str = Field(max_length=8192)
    address: str = Field(default="", max_length=64)


class PreviewOut(BaseModel):
    """What it would do; nothing was done."""

    result: str
    reason: str | None
    network: str | None
    fields: dict[str, list[str]]
    status: str | None
    amount: str | None
    link: str | None
    conversion_id: str | None


class ReplayIn(BaseModel):
    """Which of the waiting postbacks; what is left out matches all."""

    model_config = ConfigDict(extra="forbid")

    network: str = Field(default="", max_length=60)
    result: Result | None = None
    reason: str = Field(default="", max_length=64)
    word: str = Field(default="", max_length=64)


class ReplayOut(BaseModel):
    waiting: int


class ReplayedOut(BaseModel):
    result: str
    reason: str | None
    conversion_id: str | None


@router.patch("/networks/{name}")
def change_network(session: Db, actor: Operator, name: str, body: NetworkChange) -> NetworkState:
    """Change a network's map. Postbacks that wait can then be replayed."""
    network = networks.named(session, name)
    given = {
        field: value
        for field, value in body.model_dump(exclude_unset=True).items()
        if value is not None or field in _MAY_BE_NOTHING
    }
    current = network_changes.map_of(network)
    merged = {field: getattr(current, field) for field in NetworkMap.__dataclass_fields__}
    changed = network_changes.change(
        session,
        network_id=NetworkId(network.id),
        to=NetworkMap(**(merged | given)),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return NetworkState(**_state(changed))


@router.post("/networks/{name}/key")
def rotate_key(session: Db, actor: Operator, name: str, body: KeyIn) -> NetworkWithKey:
    """Give a network a new key. It is shown this once; the old one holds on for a while."""
    network = network_changes.rotate_key(
        session,
        network_id=NetworkId(networks.named(session, name).id),
        grace_days=body.grace_days,
        key=body.key,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return _with_key(network)


@router.post("/networks/{name}/words")
def teach_word(session: Db, actor: Operator, name: str, body: WordIn) -> NetworkState:
    """Say what a status word means. All that waited for it is read again within seconds."""
    network = network_changes.teach(
        session,
        network_id=NetworkId(networks.named(session, name).id),
        word=body.word,
        meaning=body.meaning,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return NetworkState(**_state(network))


@router.get("/network-presets")
def list_presets(_: Operator) -> PresetList:
    """Networks whose way of speaking is public, each with its source."""
    return PresetList(presets=[PresetOut(**_preset(one)) for one in presets.every()])


@router.post("/network-presets", status_code=201)
def create_from_preset(session: Db, actor: Operator, body: FromPreset) -> NetworkWithKey:
    """Add a network that speaks as a preset says. Its key is shown this once."""
    network = network_changes.from_preset(
        session,
        preset=body.preset,
        name=body.name,
        key=body.key,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return _with_key(network)


@router.post("/postbacks/preview")
def try_postback(session: Db, _: Operator, body: TryIn) -> PreviewOut:
    """What a postback would do, without doing it."""
    query = claims.query_in(body.query)
    request = PostbackIn(method="GET", query=query, address=body.address)
    return _preview(postbacks.preview(session, request=request, now=clock.now()))


@router.post("/postbacks/replay")
def replay_matching(session: Db, actor: Operator, body: ReplayIn) -> ReplayOut:
    """Read all waiting postbacks that match again, in the background."""
    network_id = networks.named(session, body.network).id if body.network else None
    result = body.result.value if body.result else ""
    chosen = Chosen(network_id, result, body.reason, body.word)
    waiting = replays.ask(session, chosen=chosen, actor=actor.label, now=clock.now(), ip=actor.ip)
    return ReplayOut(waiting=waiting)


@router.post("/postbacks/{postback_id}/replay")
def replay_postback(session: Db, actor: Operator, postback_id: str) -> ReplayedOut:
    """Read one postback again."""
    result = replays.one(
        session,
        postback_id=PostbackId(ids.parse(POSTBACK, postback_id)),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    key = result.conversion_id
    return ReplayedOut(
        result=result.result.value,
        reason=result.reason,
        conversion_id=ids.public(CONVERSION, key) if key else None,
    )


def _state(network: Network) -> dict[str, Any]:
    plain = network_changes.map_of(network)
    return {field: getattr(plain, field) for field in NetworkMap.__dataclass_fields__} | {
        "id": ids.public(NETWORK, network.id),
        "name": network.name,
        "preset": network.preset,
        "old_key_until": network.old_key_until,
    }


def _with_key(network: Network) -> NetworkWithKey:
    return NetworkWithKey(
        **_state(network), key=networks.key_of(network), postback_url=networks.url_of(network)
    )


def _preset(preset: presets.Preset) -> dict[str, Any]:
    return {field: getattr(preset, field) for field in PresetOut.model_fields}


def _preview(found: Preview) -> PreviewOut:
    claim, owner, conversion = found.claim, found.attribution, found.conversion
    return PreviewOut(
        result=found.result.value,
        reason=found.reason,
        network=found.network.name if found.network else None,
        fields=found.fields,
        status=claim.status.value if claim else None,
        amount=f"{claim.amount.decimal():f}" if claim and claim.amount is not None else None,
        link=ids.public("lnk", owner.link_id) if owner else None,
        conversion_id=ids.public(CONVERSION, conversion.id) if conversion else None,
    )
