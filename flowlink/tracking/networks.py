"""Networks: how those who pay for conversions speak. A network is data, not code.

`fields` says which of its parameters holds what we call subid, amount, currency, status, txn_id
and goal; `statuses` says which of its words means pending, approved, rejected or reversed. The
parameters `network` and `key` are ours and always called so.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from ipaddress import IPv6Network, ip_network
from urllib.parse import quote_plus

from sqlalchemy import func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, crypto, db, ids, settings
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.tracking import names, presets
from flowlink.tracking.ids import NETWORK
from flowlink.tracking.models import AmountUnit, Network, Status

DIRECT = "direct"
CURRENCIES = frozenset({"EUR"})
FIELDS: Mapping[str, str] = {
    name: name for name in ("subid", "amount", "currency", "status", "txn_id", "goal")
}
# Where a network says of which moment its word is; none has it unless its map says so.
CHANGED_AT = "changed_at"
STATUSES: Mapping[str, str] = {status.value: status.value for status in Status} | {
    "lead": "pending",
    "hold": "pending",
    "new": "pending",
    "waiting": "pending",
    "sale": "approved",
    "confirmed": "approved",
    "accepted": "approved",
    "paid": "approved",
    "declined": "rejected",
    "refused": "rejected",
    "cancelled": "rejected",
    "canceled": "rejected",
    "invalid": "rejected",
    "refunded": "reversed",
    "refund": "reversed",
    "chargeback": "reversed",
    "returned": "reversed",
}
_PARAMETER = re.compile(r"[A-Za-z0-9_.\[\]-]{1,64}")
_LONGEST_WORD = 64
_MAPPED_BITS = 96  # of an IPv6 address that stands for an IPv4 one
_OURS = {"network", "key"}
_SHORTEST_KEY, _LONGEST_KEY = 16, 200
_LOOKBACK_DAYS = 90


class UnknownNetwork(NotFound):
    message = "There is no network of this name."
    field = "network"


class NetworkExists(Refused):
    message = "A network of this name exists already."
    field = "name"


class BadField(Invalid):
    message = "“%(name)s” is not a field of a postback, or not a possible parameter."
    field = "fields"


class BadStatusWord(Invalid):
    message = "“%(name)s” has to mean pending, approved, rejected or reversed."
    field = "statuses"


class BadAddress(Invalid):
    message = "“%(name)s” is not an IP address or network."
    field = "addresses"


class BadCurrency(Invalid):
    message = "Only amounts in EUR are accepted now."
    field = "currency"


class BadKey(Invalid):
    message = "A key has 16 to 200 plain characters and belongs to one network only."
    field = "key"


@dataclass(frozen=True, slots=True)
class NetworkIn:
    """What an operator says about a network; what is left out is as `direct` has it."""

    name: str
    fields: Mapping[str, str] = field(default_factory=dict)
    statuses: Mapping[str, str] = field(default_factory=dict)
    click_param: str | None = None
    default_status: Status | None = Status.APPROVED
    amount_unit: AmountUnit = AmountUnit.UNITS
    currency: str | None = None
    key: str | None = None
    addresses: Sequence[str] = ()
    rebill: bool = False
    lookback_days: int = _LOOKBACK_DAYS
    preset: str | None = None


def create(
    session: Session, *, given: NetworkIn, actor: str, now: datetime, ip: str = ""
) -> Network:
    """Add a network; its key is made unless one is given.

    :raises NetworkExists: the name is taken.
    :raises BadField: :raises BadStatusWord: :raises BadAddress: :raises BadCurrency:
    :raises BadKey:
    """
    name = names.check_name(given.name)
    db.advisory_lock(session, "tracking.networks")
    if session.scalar(select(Network.id).where(func.lower(Network.name) == name.lower())):
        raise NetworkExists
    fields = checked_fields(given.fields)
    key = checked_key(session, given.key)
    values = insert(Network).values(
        name=name,
        click_param=parameter(given.click_param or fields["subid"]),
        fields=fields,
        statuses=checked_statuses(given.statuses),
        default_status=given.default_status,
        amount_unit=given.amount_unit,
        fixed_currency=checked_currency(given.currency),
        addresses=[checked_address(text) for text in given.addresses],
        rebill=given.rebill,
        lookback_days=given.lookback_days,
        preset=given.preset,
        active=True,
        created_at=now,
        key_sealed=crypto.encrypt(key.encode()),
        key_digest=crypto.digest(key),
    )
    network = session.scalars(values.returning(Network)).one()
    audit.record(
        session, actor, "network.created", ids.public(NETWORK, network.id), now, ip, name=name
    )
    return network


def named(session: Session, name: str) -> Network:
    """The network of this name, or with this public id.

    :raises UnknownNetwork: there is none.
    """
    wanted = func.lower(Network.name) == name.lower()
    if name.startswith(f"{NETWORK}_"):
        wanted = Network.id == ids.parse(NETWORK, name)
    network = None if "\x00" in name else session.scalar(select(Network).where(wanted))
    if network is None:
        raise UnknownNetwork
    return network


def by_key(session: Session, key: str) -> Network | None:
    """Whose key this is, the one it replaced included."""
    digest = crypto.digest(key)
    either = or_(Network.key_digest == digest, Network.old_key_digest == digest)
    return session.scalar(select(Network).where(either))


def key_of(network: Network) -> str:
    """The key that the network sends with each postback: for operators' eyes."""
    return crypto.decrypt(network.key_sealed).decode()


def key_fits(network: Network, key: str, *, now: datetime) -> bool:
    """Whether this is the network's key, or the old one in its time of grace.

    Takes as long for a wrong one as for the right one.
    """
    given = crypto.digest(key).hex()
    fits = crypto.same(given, network.key_digest.hex())
    if network.old_key_digest is None or network.old_key_until is None:
        return fits
    fits_old = crypto.same(given, network.old_key_digest.hex())
    return fits or (fits_old and now < network.old_key_until)


def postback_url(session: Session, *, name: str) -> str:
    """The address to enter at the network, with our key and a `{place}` for each of its values.

    :raises UnknownNetwork: there is none of this name.
    """
    return url_of(named(session, name))


def url_of(network: Network) -> str:
    """The same of a network at hand; one made from a preset has the network's own places."""
    own = presets.places(network.preset)
    places = [
        f"{quote_plus(network.fields[name])}={own[name] if own else f'{{{name}}}'}"
        for name in (*FIELDS, CHANGED_AT)
        if name in network.fields
        if own is None or name in own
    ]
    head = f"network={quote_plus(network.name)}&key={quote_plus(key_of(network))}"
    return f"{settings.current().url}/aff/postback?{head}&{'&'.join(places)}"


def signed_query(network: Network, query: str) -> str:
    """A query with the network's name and key: what a test of ours sends in its place."""
    ours = f"network={quote_plus(network.name)}&key={quote_plus(key_of(network))}"
    pieces = [piece for piece in query.split("&") if piece.partition("=")[0] not in _OURS]
    return "&".join([*filter(None, pieces), ours])


def some_address(network: Network) -> str:
    """An address that the network may send from."""
    return str(ip_network(network.addresses[0])[0]) if network.addresses else "127.0.0.1"


def seed(session: Session, *, now: datetime) -> Network:
    """The network `direct` of a fresh installation (spec 8)."""
    found = session.scalar(select(Network).where(Network.name == DIRECT))
    return found or create(session, given=NetworkIn(name=DIRECT), actor="seed", now=now)


def checked_key(session: Session, given: str | None) -> str:
    key = crypto.token() if given is None else given
    if not _SHORTEST_KEY <= len(key) <= _LONGEST_KEY or not key.isascii() or not key.isprintable():
        raise BadKey
    if by_key(session, key) is not None:
        raise BadKey
    return key


def checked_fields(given: Mapping[str, str]) -> dict[str, str]:
    """Our name -> the network's, whichever way round it was written."""
    fields, known = dict(FIELDS), {*FIELDS, CHANGED_AT}
    for left, right in given.items():
        ours, theirs = (left, right) if left in known else (right, left)
        if ours not in known:
            raise BadField(name=ours)
        fields[ours] = parameter(theirs)
    if len(set(fields.values())) < len(fields):
        raise BadField(name=max(fields.values(), key=list(fields.values()).count))
    return fields


def parameter(name: str) -> str:
    if _PARAMETER.fullmatch(name) is None or name.lower() in _OURS:
        raise BadField(name=name)
    return name


def checked_statuses(given: Mapping[str, str]) -> dict[str, str]:
    """The network's word in small letters -> ours. Ours themselves are always understood."""
    ours = {status.value for status in Status}
    words = {} if given else dict(STATUSES)
    for left, right in given.items():
        word, meaning = (left, right) if right in ours else (right, left)
        plain = word.strip().lower()
        if meaning not in ours or not 0 < len(plain) <= _LONGEST_WORD or "\x00" in plain:
            raise BadStatusWord(name=word)
        if words.get(plain, meaning) != meaning:
            raise BadStatusWord(name=word)
        words[plain] = meaning
    return {status: status for status in ours} | words


def checked_currency(code: str | None) -> str | None:
    if code is not None and code.upper() not in CURRENCIES:
        raise BadCurrency
    return code.upper() if code else None


def checked_address(text: str) -> str:
    """An address or network in the one form in which it is kept.

    :raises BadAddress:
    """
    try:
        found = ip_network(text.strip(), strict=False)
    except ValueError:
        raise BadAddress(name=text) from None
    plain = found.network_address.ipv4_mapped if isinstance(found, IPv6Network) else None
    if plain is not None and found.prefixlen >= _MAPPED_BITS:
        return str(ip_network((plain, found.prefixlen - _MAPPED_BITS)))
    return str(found)
