"""Who sends postbacks, and whether they may: by name and key, or by the key alone."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import ARRAY, LargeBinary, Text, any_, bindparam, func, or_, select
from sqlalchemy.orm import Session

from flowlink.identity import clients
from flowlink.kernel import crypto
from flowlink.tracking import networks
from flowlink.tracking.models import Network

WRONG_KEY = "wrong_key"
UNKNOWN_NETWORK = "unknown_network"
STRANGE = (WRONG_KEY, UNKNOWN_NETWORK)

_NAMES = any_(bindparam("names", type_=ARRAY(Text)))
_DIGESTS = any_(bindparam("digests", type_=ARRAY(LargeBinary)))
# Built once: to build it for each batch takes longer than to run it.
_ASKED = select(Network).where(
    or_(
        func.lower(Network.name) == _NAMES,
        Network.key_digest == _DIGESTS,
        Network.old_key_digest == _DIGESTS,
    )
)

Fields = Mapping[str, Sequence[str]]


class Asked(NamedTuple):
    """What a request says of its sender."""

    name: str
    key: str
    address: str


@dataclass(frozen=True, slots=True)
class Sender:
    """The network that it is, if any, and why it may not speak: None when it may."""

    network: Network | None
    refusal: str | None

    @property
    def stranger(self) -> bool:
        """Nobody whom we know: it has shown no key of ours."""
        return self.refusal in STRANGE


def asked(fields: Fields, address: str) -> Asked:
    """What the fields of a request say of its sender."""
    return Asked(fields.get("network", [""])[0], fields.get("key", [""])[0], address)


def judge(session: Session, questions: Collection[Asked], *, now: datetime) -> dict[Asked, Sender]:
    """The verdict on each of them, with one query (spec 3: 401 only for a wrong key)."""
    every = set(questions)
    names = {one.name.lower() for one in every if one.name and "\x00" not in one.name}
    keys = {one.key: crypto.digest(one.key) for one in every if one.key and not one.name}
    digests = list(keys.values())
    found = session.scalars(_ASKED, {"names": list(names), "digests": digests}).all()
    by_name = {network.name.lower(): network for network in found}
    by_digest = {
        bytes(digest): network
        for network in found
        for digest in (network.old_key_digest, network.key_digest)
        if digest is not None
    }
    return {
        one: _named(by_name.get(one.name.lower()), one, now)
        if one.name
        else _nameless(by_digest.get(keys.get(one.key, b"")), one, now)
        for one in every
    }


def refusal(network: Network, address: str) -> str | None:
    """Why this network may not speak from this address; None when it may."""
    if not network.active:
        return "network_inactive"
    if not network.addresses:
        return None
    return None if clients.is_within(address, network.addresses) else "address_not_allowed"


def _named(network: Network | None, one: Asked, now: datetime) -> Sender:
    if network is None:
        return Sender(None, UNKNOWN_NETWORK)
    if not networks.key_fits(network, one.key, now=now):
        return Sender(network, WRONG_KEY)
    return Sender(network, refusal(network, one.address))


def _nameless(network: Network | None, one: Asked, now: datetime) -> Sender:
    if network is None or not networks.key_fits(network, one.key, now=now):
        return Sender(None, WRONG_KEY)
    return Sender(network, refusal(network, one.address))
