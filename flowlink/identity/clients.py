"""Where a request comes from: the client's address behind proxies, and its browser's name."""

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_BROWSERS = (
    ("Edg", "Edge"),
    ("OPR/", "Opera"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("CriOS/", "Chrome"),
    ("Chrome/", "Chrome"),
    ("Safari/", "Safari"),
    ("curl/", "curl"),
    ("python", "Python"),
)
_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)


def client_ip(peer: str, forwarded: str, trusted: Sequence[str]) -> str:
    """The address of whoever asked.

    `X-Forwarded-For` is read from its right end, and only as long as its writer is a trusted
    proxy (an address or a network): what stands further left is the client's own claim.
    """
    networks = [ip_network(item, strict=False) for item in trusted]
    seen = peer
    for hop in reversed([part.strip() for part in forwarded.split(",")]):
        if not _within(seen, networks) or _parsed(hop) is None:
            break
        seen = hop
    return seen


def network_of(ip: str) -> str:
    """What one client can hardly leave: its IPv4 address, or its IPv6 /64."""
    address = _parsed(ip)
    if isinstance(address, IPv6Address):
        return str(ip_network((address, 64), strict=False))
    return str(address or ip)


def is_within(ip: str, networks: Sequence[str]) -> bool:
    """Whether it is one of these addresses or networks; what is no address is in none.

    An IPv4 address is the same when a listener for both kinds writes it as `::ffff:192.0.2.1`.
    """
    return _within(ip, [ip_network(item, strict=False) for item in networks])


def device(user_agent: str) -> str:
    """A browser's name as its owner knows it: `Firefox, Linux`."""
    browser = next((name for mark, name in _BROWSERS if mark in user_agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in user_agent), "")
    return ", ".join(part for part in (browser, system) if part)


def _within(ip: str, networks: Sequence[Network]) -> bool:
    address = _parsed(ip)
    return address is not None and any(address in network for network in networks)


def _parsed(ip: str) -> Address | None:
    try:
        address = ip_address(ip)
    except ValueError:
        return None
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return mapped or address
