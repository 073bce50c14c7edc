"""Requests to addresses that others chose: never into our own network (SSRF).

The name is resolved once, every address it has must be public, and the connection goes to the very
address that was checked: a name that answers differently a moment later gains nothing. Redirects
are not followed, proxies of the environment are not used, and little of the answer is read.
"""

import ipaddress
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import urlsplit

import httpx2

from flowlink.kernel.errors import Invalid

TIMEOUT_S = 10
ANSWER_MAX = 2000
LONGEST = 1000
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address


class BadAddress(Invalid):
    message = "Please enter a public web address such as https://example.org/hook."
    field = "url"


class Unreachable(Exception):
    """No answer came; its text says why."""


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One request."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the number, the beginning of the text, and how long it took."""

    status: int
    text: str
    took_ms: int


class Way(Protocol):
    """How requests leave the house."""

    def send(self, request: Outgoing) -> Answer:
        """:raises Unreachable: nobody answered, or nobody may be asked."""


def is_public(address: IpAddress) -> bool:
    """Whether an address belongs to nobody's inside: also what is hidden in an IPv6 one."""
    if isinstance(address, ipaddress.IPv6Address):
        if address in _NAT64:
            return is_public(ipaddress.IPv4Address(int(address) & 0xFFFFFFFF))
        inner = address.ipv4_mapped or address.sixtofour
        if inner is not None:
            return is_public(inner)
        if address.teredo is not None:
            return False
    return address.is_global and not address.is_multicast and not address.is_reserved


def check(url: str) -> str:
    """The address as it will be used.

    :raises BadAddress: not http(s), with a password in it, or an address that is plainly inside.
    """
    text = url.strip()
    if len(text) > LONGEST or not text.isascii() or any(letter <= " " for letter in text):
        raise BadAddress
    try:
        parts = urlsplit(text)
        port, host = parts.port, (parts.hostname or "").rstrip(".")
    except ValueError:
        raise BadAddress from None
    if parts.scheme not in _PORTS or not host or "@" in parts.netloc or "{" in parts.netloc:
        raise BadAddress
    if port == 0 or host == "localhost" or host.endswith((".localhost", ".local", ".internal")):
        raise BadAddress
    literal = _literal(host)
    if literal is not None and not is_public(literal):
        raise BadAddress
    return text


class Guarded:
    """The way out: resolve, check, and connect to what was checked."""

    def __init__(self, allow: Callable[[IpAddress], bool] = is_public) -> None:
        self._allow = allow

    def send(self, request: Outgoing) -> Answer:
        parts = urlsplit(request.url)
        host = parts.hostname or ""
        port = parts.port or _PORTS.get(parts.scheme, 0)
        address = self._resolved(host, port)
        began = time.monotonic()
        pinned = httpx2.URL(request.url).copy_with(host=str(address))
        headers = {**request.headers, "host": parts.netloc}
        try:
            return _asked(request, pinned, headers, host, began)
        except (httpx2.HTTPError, httpx2.InvalidURL, OSError, ValueError) as error:
            raise Unreachable(f"{type(error).__name__}: {error}"[:500]) from error

    def _resolved(self, host: str, port: int) -> IpAddress:
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unreachable(f"The name {host} leads nowhere: {error}") from error
        addresses = [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]
        if not addresses or not all(self._allow(address) for address in addresses):
            raise Unreachable("This address lies in a private network, where we send nothing.")
        return addresses[0]


def _asked(
    request: Outgoing, pinned: httpx2.URL, headers: Mapping[str, str], host: str, began: float
) -> Answer:
    """The TLS certificate is still that of the name, not of the address."""
    with (
        httpx2.Client(timeout=TIMEOUT_S, trust_env=False, follow_redirects=False) as client,
        client.stream(
            request.method,
            pinned,
            headers=dict(headers),
            content=request.body,
            extensions={"sni_hostname": host},
        ) as answer,
    ):
        text = b""
        for piece in answer.iter_raw(ANSWER_MAX):
            text += piece
            if len(text) >= ANSWER_MAX or time.monotonic() - began > TIMEOUT_S:
                break
        took_ms = round((time.monotonic() - began) * 1000)
        shown = text[:ANSWER_MAX].decode("utf-8", "replace").replace("\x00", "")
        return Answer(answer.status_code, shown, took_ms)


def _literal(host: str) -> IpAddress | None:
    """An address written as one, in any of the ways that resolvers read: `127.1`, `0x7f000001`."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except OSError:
        return None
