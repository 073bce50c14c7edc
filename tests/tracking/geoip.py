"""A database of countries in MaxMind's format, made of a few IPv4 networks."""

from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

_MARKER = b"\xab\xcd\xefMaxMind.com"
_GAP = 16


def write(path: Path, countries: Mapping[str, str]) -> Path:
    """Write `path`, which knows the country of each network."""
    nodes: list[list[int | None]] = [[None, None]]
    data = b""
    leaves: dict[tuple[int, int], int] = {}
    for network, country in countries.items():
        leaves[_walk(nodes, IPv4Network(network))] = len(data)
        data += _map({"country": _map({"iso_code": _text(country)})})
    count = len(nodes)
    tree = b""
    for place, children in enumerate(nodes):
        for side, child in enumerate(children):
            offset = leaves.get((place, side))
            value = count if child is None else child
            tree += (value if offset is None else count + _GAP + offset).to_bytes(3)
    path.write_bytes(tree + bytes(_GAP) + data + _MARKER + _metadata(count))
    return path


def _walk(nodes: list[list[int | None]], network: IPv4Network) -> tuple[int, int]:
    """The place in the tree where the network's last bit leads."""
    place = 0
    bits = f"{int(network.network_address):032b}"[: network.prefixlen]
    for bit in bits[:-1]:
        child = nodes[place][int(bit)]
        if child is None:
            child = len(nodes)
            nodes[place][int(bit)] = child
            nodes.append([None, None])
        place = child
    return place, int(bits[-1])


def _metadata(count: int) -> bytes:
    return _map(
        {
            "node_count": _number(6, count),
            "record_size": _number(5, 24),
            "ip_version": _number(5, 4),
            "database_type": _text("Test-Country"),
            "languages": bytes([0x00, 0x04]),
            "binary_format_major_version": _number(5, 2),
            "binary_format_minor_version": _number(5, 0),
            "build_epoch": bytes([0x04, 0x02]) + (1_700_000_000).to_bytes(4),
            "description": _map({"en": _text("For tests")}),
        }
    )


def _map(members: Mapping[str, bytes]) -> bytes:
    return bytes([7 << 5 | len(members)]) + b"".join(
        _text(name) + value for name, value in members.items()
    )


def _text(text: str) -> bytes:
    plain = text.encode()
    assert len(plain) < 29
    return bytes([2 << 5 | len(plain)]) + plain


def _number(kind: int, value: int) -> bytes:
    plain = value.to_bytes((value.bit_length() + 7) // 8)
    return bytes([kind << 5 | len(plain)]) + plain
