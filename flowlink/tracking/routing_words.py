"""Targets and weights as a person types them: one a line, the address last.

`phone FR https://…` sends phones in France there, `3 https://…` gives three parts of the visitors.
"""

from flowlink.tracking import devices
from flowlink.tracking.routing import BadTarget, BadWeight, Routing, Target, Weighted


def read(targets: str, weighted: str) -> Routing:
    """:raises BadTarget: :raises BadWeight: a line that is neither."""
    return Routing(
        targets=[target(*_parts(line, BadTarget)) for line in _lines(targets)],
        weighted=[_weighted(*_parts(line, BadWeight)) for line in _lines(weighted)],
    )


def target(words: list[str], destination: str) -> Target:
    """A target of a device, a country, or both, in any order.

    :raises BadTarget:
    """
    device, country = None, ""
    for word in words:
        known = devices.named(word)
        if known is not None and device is None:
            device = known
        elif len(word) == 2 and not country:
            country = word.upper()
        else:
            raise BadTarget
    return Target(destination, device, country)


def targets(routing: Routing) -> str:
    """The targets as they can be typed."""
    return "\n".join(
        " ".join(
            [
                *([one.device.name.lower()] if one.device is not None else []),
                *([one.country] if one.country else []),
                one.destination,
            ]
        )
        for one in routing.targets
    )


def weights(routing: Routing) -> str:
    """The weights as they can be typed."""
    return "\n".join(f"{one.weight} {one.destination}" for one in routing.weighted)


def _weighted(words: list[str], destination: str) -> Weighted:
    if len(words) != 1 or not words[0].isdecimal() or len(words[0]) > 4:
        raise BadWeight
    return Weighted(destination, int(words[0]))


def _lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.strip()]


def _parts(line: str, error: type[BadTarget | BadWeight]) -> tuple[list[str], str]:
    *words, destination = line.split()
    if not words:
        raise error
    return words, destination
