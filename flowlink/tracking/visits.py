"""What a click's request says of its visitor, told once for each browser, address and referrer.

Bytes in, bytes out: what arrives on the wire, and what the journal keeps.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from flowlink.identity import clients
from flowlink.kernel import settings
from flowlink.tracking import countries, devices, screening
from flowlink.tracking.devices import Device
from flowlink.tracking.models import Reason

PURPOSES = (b"sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_PURPOSES = frozenset(PURPOSES)
_REMEMBERED = 20_000
_FORWARDED_MAX = 400
_REFERRER_MAX = 1000
_HOST_MAX = 253


class Browser(NamedTuple):
    """A user agent as it is kept, in UTF-8, and what it is."""

    agent: bytes
    reason: Reason
    device: Device


class Place(NamedTuple):
    """Where a visitor's network is."""

    address: bytes
    country: int


class Visitor(NamedTuple):
    """Everything that is told of a visit apart from its link and moment."""

    browser: Browser
    place: Place
    referrer: bytes
    reason: Reason


def visitor(method: str, headers: Mapping[bytes, bytes], *, peer: str) -> Visitor:
    """Who asks; `headers` by their small names."""
    browser = _browser(headers.get(b"user-agent", b""))
    reason = browser.reason
    purpose = b""
    if not _PURPOSES.isdisjoint(headers):
        purpose = next(headers[name] for name in PURPOSES if name in headers)
    if method == "HEAD" or purpose:
        reason = screening.screen(
            method=method, agent=browser.agent.decode(), purpose=purpose.decode("latin-1")
        )
    forwarded = headers.get(b"x-forwarded-for", b"")[-_FORWARDED_MAX:]
    place = _place(peer, forwarded, settings.current().trusted_proxies)
    return Visitor(browser, place, _referrer(headers.get(b"referer", b"")), reason)


@lru_cache(maxsize=_REMEMBERED)
def _browser(header: bytes) -> Browser:
    agent = header.decode("latin-1").replace("\x00", "").strip()[: screening.AGENT_LENGTH]
    reason = screening.screen(method="GET", agent=agent, purpose="")
    return Browser(agent.encode(), reason, devices.device(agent))


@lru_cache(maxsize=_REMEMBERED)
def _place(peer: str, forwarded: bytes, trusted: tuple[str, ...]) -> Place:
    address = clients.network_of(clients.client_ip(peer, forwarded.decode("latin-1"), trusted))
    return Place(address.encode(), countries.of(address))


@lru_cache(maxsize=_REMEMBERED)
def _referrer(header: bytes) -> bytes:
    """The host that linked to us: more of the visitor's way is not ours to keep."""
    try:
        host = urlsplit(header.decode("latin-1")[:_REFERRER_MAX]).hostname or ""
    except ValueError:
        return b""
    return host.replace("\x00", "")[:_HOST_MAX].encode()
