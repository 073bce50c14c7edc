"""Where one visitor of a link is sent: by device and country first, then by weight.

Plain functions of what is known of the visit, for whoever answers it. A weighted choice follows
from the click's own number, so that it can be told again later, and twice gives the same.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from flowlink.kernel.errors import Invalid
from flowlink.tracking import countries, destinations, devices
from flowlink.tracking.devices import Device

TARGETS_MAX = 30
WEIGHTED_MAX = 10
WEIGHT_MAX = 1000


class BadTarget(Invalid):
    message = "A target names a device, a country of two letters, or both."
    field = "targets"


class BadWeight(Invalid):
    message = "Weights are whole numbers from 1 to 1000, for two to ten destinations."
    field = "weighted"


class TooManyTargets(Invalid):
    message = "A link has at most %(limit)s targets."
    field = "targets"


@dataclass(frozen=True, slots=True)
class Target:
    """Visitors with this device, from this country, or both, go there."""

    destination: str
    device: Device | None = None
    country: str = ""


@dataclass(frozen=True, slots=True)
class Weighted:
    """A destination that gets its part of the visitors."""

    destination: str
    weight: int


@dataclass(frozen=True, slots=True)
class Routing:
    """Where visitors of one link go other than to its one destination."""

    targets: Sequence[Target] = ()
    weighted: Sequence[Weighted] = ()

    def __bool__(self) -> bool:
        return bool(self.targets or self.weighted)


NOWHERE_ELSE = Routing()


def choose(
    routing: Mapping[str, Any] | None,
    *,
    destination: str,
    device: Device,
    country: int,
    number: int,
) -> str:
    """The destination of the click with this number, out of a link's `routing` as it is kept.

    The first target that fits wins, one that names more before one that names less; then the
    weights; then the link's own destination.
    """
    if not routing:
        return destination
    known = countries.code(country)
    for target in routing.get("targets", ()):
        if target.get("device", int(device)) == int(device) and _is_from(target, known):
            return str(target["destination"])
    weighted = routing.get("weighted", ())
    total = sum(one["weight"] for one in weighted)
    if not total:
        return destination
    drawn = _draw(number) % total
    for one in weighted:
        drawn -= one["weight"]
        if drawn < 0:
            return str(one["destination"])
    raise AssertionError("a draw lies below the sum of the weights")


def checked(routing: Routing, *, allowed: Collection[str], base_url: str) -> Routing:
    """The same with clean destinations, all of them on hosts that the offer allows.

    :raises BadTarget: :raises BadWeight: :raises TooManyTargets:
    :raises destinations.BadDestination: :raises destinations.HostNotAllowed:
    """
    if len(routing.targets) > TARGETS_MAX:
        raise TooManyTargets(limit=TARGETS_MAX)
    if len(routing.weighted) > WEIGHTED_MAX or len(routing.weighted) == 1:
        raise BadWeight
    if not all(1 <= one.weight <= WEIGHT_MAX for one in routing.weighted):
        raise BadWeight
    if not all(_is_meant(target) for target in routing.targets):
        raise BadTarget

    def clean(text: str) -> str:
        plain = destinations.cleaned(text, base_url=base_url)
        destinations.check_host(plain, allowed=allowed, base_url=base_url)
        return plain

    return Routing(
        targets=[
            Target(clean(one.destination), one.device, one.country.upper())
            for one in sorted(routing.targets, key=lambda one: -_named(one))
        ],
        weighted=[Weighted(clean(one.destination), one.weight) for one in routing.weighted],
    )


def kept(routing: Routing) -> dict[str, Any] | None:
    """The form in which a link keeps it."""
    if not routing:
        return None
    targets = []
    for one in routing.targets:
        target: dict[str, Any] = {"destination": one.destination}
        if one.device is not None:
            target["device"] = int(one.device)
        if one.country:
            target["country"] = one.country
        targets.append(target)
    weighted = [{"destination": one.destination, "weight": one.weight} for one in routing.weighted]
    return {"targets": targets, "weighted": weighted}


def read(routing: Mapping[str, Any] | None) -> Routing:
    """What a link keeps, as it was meant."""
    if not routing:
        return NOWHERE_ELSE
    return Routing(
        targets=[
            Target(
                destination=one["destination"],
                device=Device(one["device"]) if "device" in one else None,
                country=one.get("country", ""),
            )
            for one in routing.get("targets", ())
        ],
        weighted=[Weighted(**one) for one in routing.get("weighted", ())],
    )


def _is_from(target: Mapping[str, Any], country: str) -> bool:
    return "country" not in target or target["country"] == country


def _is_meant(target: Target) -> bool:
    if target.device is not None and target.device not in devices.TARGETABLE:
        return False
    if target.country and countries.number(target.country) == countries.UNKNOWN:
        return False
    return _named(target) > 0


def _named(target: Target) -> int:
    return (target.device is not None) + bool(target.country)


def _draw(number: int) -> int:
    """A number that is as good as drawn: click numbers themselves come in order."""
    return int.from_bytes(blake2b(number.to_bytes(8), digest_size=8).digest())
