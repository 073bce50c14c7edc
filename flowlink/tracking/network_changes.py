"""Networks that change: their words, their addresses, their key; every change is audited."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from flowlink.kernel import audit, crypto, db, events, ids
from flowlink.kernel.errors import Invalid
from flowlink.tracking import networks, presets
from flowlink.tracking.ids import NETWORK, NetworkId
from flowlink.tracking.models import AmountUnit, Network, Status
from flowlink.tracking.networks import NetworkIn, UnknownNetwork

GRACE_DAYS_MAX = 90


class BadLookback(Invalid):
    message = "A network looks back over 1 to 3650 days."
    field = "lookback_days"


class BadGrace(Invalid):
    message = "An old key can stay valid for at most 90 days."
    field = "grace_days"


@dataclass(frozen=True, slots=True)
class NetworkMap:
    """All that an operator can change about a network: its map as it is to be from now on."""

    click_param: str
    fields: Mapping[str, str]
    statuses: Mapping[str, str]
    default_status: Status | None
    amount_unit: AmountUnit
    currency: str | None
    addresses: Sequence[str]
    rebill: bool
    lookback_days: int
    active: bool


def map_of(network: Network) -> NetworkMap:
    """The network's map as it is."""
    return NetworkMap(
        click_param=network.click_param,
        fields=network.fields,
        statuses=network.statuses,
        default_status=Status(network.default_status) if network.default_status else None,
        amount_unit=AmountUnit(network.amount_unit),
        currency=network.fixed_currency,
        addresses=network.addresses,
        rebill=network.rebill,
        lookback_days=network.lookback_days,
        active=network.active,
    )


def change(
    session: Session,
    *,
    network_id: NetworkId,
    to: NetworkMap,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Network:
    """Give the network another map. What came before stays as it was understood, until a replay.

    :raises BadField: :raises BadStatusWord: :raises BadAddress: :raises BadCurrency:
    :raises BadLookback: nothing is changed.
    """
    if not 0 < to.lookback_days <= 3650:
        raise BadLookback
    network = _lock(session, network_id)
    before = _plain(map_of(network))
    network.click_param = networks.parameter(to.click_param)
    network.fields = networks.checked_fields(to.fields)
    network.statuses = networks.checked_statuses(to.statuses)
    network.default_status = to.default_status
    network.amount_unit = to.amount_unit
    network.fixed_currency = networks.checked_currency(to.currency)
    network.addresses = [networks.checked_address(text) for text in to.addresses]
    network.rebill, network.lookback_days, network.active = to.rebill, to.lookback_days, to.active
    after = _plain(map_of(network))
    changed = {
        name: {"from": before[name], "to": value}
        for name, value in after.items()
        if value != before[name]
    }
    if changed:
        _audit(session, network, "network.changed", actor, now, ip, **changed)
    return network


def teach(
    session: Session,
    *,
    network_id: NetworkId,
    word: str,
    meaning: Status,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Network:
    """Let a word of the network mean a status; every postback that waits for it is read again.

    :raises BadStatusWord: no word, or one that has a meaning of its own.
    """
    network = _lock(session, network_id)
    plain = word.strip().lower()
    if plain in {status.value for status in Status}:
        raise networks.BadStatusWord(name=word)
    network.statuses = networks.checked_statuses({**network.statuses, plain: meaning.value})
    _audit(session, network, "network.taught", actor, now, ip, word=plain, meaning=meaning.value)
    events.emit(session, "network.taught", {"network_id": str(network.id), "word": plain})
    return network


def rotate_key(
    session: Session,
    *,
    network_id: NetworkId,
    grace_days: int,
    actor: str,
    now: datetime,
    key: str | None = None,
    ip: str = "",
) -> Network:
    """Give the network a new key; the old one is believed for `grace_days` more.

    :raises BadGrace: :raises networks.BadKey:
    """
    if not 0 <= grace_days <= GRACE_DAYS_MAX:
        raise BadGrace
    network = _lock(session, network_id)
    fresh = networks.checked_key(session, key)
    keeps = grace_days > 0
    network.old_key_digest = network.key_digest if keeps else None
    network.old_key_until = now + timedelta(days=grace_days) if keeps else None
    session.flush()  # the old digest moves before the new one takes its place
    network.key_sealed = crypto.encrypt(fresh.encode())
    network.key_digest = crypto.digest(fresh)
    _audit(session, network, "network.key_rotated", actor, now, ip, grace_days=grace_days)
    return network


def from_preset(
    session: Session,
    *,
    preset: str,
    actor: str,
    now: datetime,
    name: str = "",
    key: str | None = None,
    ip: str = "",
) -> Network:
    """Add a network that speaks as a preset says; it is called `name`, or as the preset is.

    :raises presets.UnknownPreset: and what `networks.create` raises.
    """
    found = presets.named(preset)
    given = NetworkIn(
        name=name or found.name,
        statuses=found.statuses,
        click_param=found.click_param,
        default_status=Status(found.default_status) if found.default_status else None,
        key=key,
        preset=found.name,
    )
    return networks.create(session, given=given, actor=actor, now=now, ip=ip)


def _lock(session: Session, network_id: NetworkId) -> Network:
    found = db.lock(session, Network, Network.id == network_id)
    if not found:
        raise UnknownNetwork
    return found[0]


def _plain(state: NetworkMap) -> dict[str, Any]:
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in asdict(state).items()
    }


def _audit(
    session: Session,
    network: Network,
    action: str,
    actor: str,
    now: datetime,
    ip: str,
    **details: object,
) -> None:
    subject = ids.public(NETWORK, network.id)
    audit.record(session, actor, action, subject, now, ip, network=network.name, **details)
