"""Where a link leads: templates with macros, the network's parameter, the visitor's own.

Macros are `{click_id}`, `{link}` (its code), `{partner}` (its public id) and `{base_url}`.

The visitor's query is passed on, but it can neither choose the destination nor replace what the
destination or we say ourselves.
"""

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import SplitResult, parse_qsl, quote, quote_plus, unquote_plus, urlsplit

from flowlink.kernel.errors import Invalid

LONGEST = 2000
_PASSED_ON_BYTES = 4096
_PASSED_ON_FIELDS = 64
_URL_CHARACTERS = "%/:?#[]@!$&'()*+,;=~-._{}"
_PORTS = {"http": 80, "https": 443}


class BadDestination(Invalid):
    message = "Please enter a full web address such as https://example.org/page."
    field = "destination"


class HostNotAllowed(Invalid):
    message = "This offer does not allow links to %(host)s."
    field = "destination"


def cleaned(text: str, *, base_url: str) -> str:
    """The address in the ASCII form in which it is kept, its macros still in place.

    :raises BadDestination: not an absolute http(s) address that a browser would read as we do.
    """
    plain = text.strip()
    suspicious = any(ord(letter) < 0x21 or letter in '\\"<>^`|\x7f' for letter in plain)
    if not plain or suspicious or len(plain) > LONGEST:
        raise BadDestination
    parts = _split(plain.replace("{base_url}", base_url))
    if parts.scheme not in _PORTS or not parts.hostname or "@" in parts.netloc:
        raise BadDestination
    if not plain.startswith("{base_url}"):
        plain = parts._replace(netloc=_ascii_host(parts)).geturl()
    return quote(plain, safe=_URL_CHARACTERS)


def check_host(destination: str, *, allowed: Iterable[str], base_url: str) -> None:
    """Let a partner lead visitors only where the offer allows (spec 8).

    `allowed` holds host names, with `:port` unless it is the scheme's own; `*.example.org` stands
    for everything below example.org.

    :raises HostNotAllowed: another host.
    """
    host = host_of(destination, base_url=base_url)
    if not any(_matches(host, pattern.lower()) for pattern in allowed):
        raise HostNotAllowed(host=host)


def host_of(destination: str, *, base_url: str) -> str:
    """Host name of a cleaned address, with `:port` unless it is the scheme's own."""
    parts = _split(destination.replace("{base_url}", base_url))
    host = parts.hostname or ""
    return host if parts.port in {None, _PORTS[parts.scheme]} else f"{host}:{parts.port}"


def build(
    destination: str, *, click_param: str, macros: Mapping[str, str], visitor_query: str
) -> str:
    """The address to redirect to: the destination's query, the visitor's, and our click id once."""
    plan = _plan(destination, click_param)
    before = _filled(plan.before, macros)
    fields = [_filled(plan.query, macros)] if plan.query else []
    fields += _passed_on(visitor_query, plan.taken)
    if not plan.places_click_id:
        fields.append(f"{quote_plus(click_param)}={macros['click_id']}")
    query = f"?{'&'.join(fields)}" if fields else ""
    return f"{before}{query}{_filled(plan.fragment, macros)}"


@dataclass(frozen=True, slots=True)
class _Plan:
    """A destination taken apart once: what comes before, its own query, `#fragment`."""

    before: str
    query: str
    fragment: str
    taken: frozenset[str]
    places_click_id: bool


@lru_cache(maxsize=10_000)
def _plan(destination: str, click_param: str) -> _Plan:
    rest, hash_sign, fragment = destination.partition("#")
    before, _, query = rest.partition("?")
    places = "{click_id}" in rest
    ours = _name(click_param)
    pieces = [piece for piece in query.split("&") if piece]
    kept = pieces if places else [piece for piece in pieces if _name_of(piece) != ours]
    return _Plan(
        before=before,
        query="&".join(kept),
        fragment=hash_sign + fragment,
        taken=frozenset(map(_name_of, kept)) | {ours},
        places_click_id=places,
    )


def _passed_on(query: str, taken: frozenset[str]) -> list[str]:
    """The visitor's fields, written anew, without those that the destination or we set."""
    if not query or len(query) > _PASSED_ON_BYTES:
        return []
    pairs = [piece.partition("=") for piece in query.split("&") if piece][:_PASSED_ON_FIELDS]
    return [
        _written(name) + equals + _written(value)
        for name, equals, value in pairs
        if _name(unquote_plus(name)) not in taken
    ]


def _written(part: str) -> str:
    """One side of a field, encoded so that no reader splits it elsewhere (`;`, NUL, line ends)."""
    return quote_plus(unquote_plus(part).replace("\x00", ""))


def _name_of(piece: str) -> str:
    return _name(unquote_plus(piece.partition("=")[0]))


def _name(name: str) -> str:
    """What PHP and its like make of a field's name: `Sub Id[]`, `sub.id` and `sub_id` are one."""
    bare = name.strip().replace("\x00", "").partition("[")[0]
    return bare.replace(".", "_").replace(" ", "_").lower()


def _filled(text: str, macros: Mapping[str, str]) -> str:
    if "{" not in text:
        return text
    for name, value in macros.items():
        text = text.replace(f"{{{name}}}", value)
    return text.replace("{", "%7B").replace("}", "%7D")


def _split(address: str) -> SplitResult:
    try:
        parts = urlsplit(address)
        _ = parts.port, parts.hostname
    except ValueError:
        raise BadDestination from None
    return parts


def _ascii_host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    port = "" if parts.port is None else f":{parts.port}"
    if ":" in host:
        try:
            return f"[{ipaddress.IPv6Address(host).compressed}]{port}"
        except ValueError:
            raise BadDestination from None
    try:
        plain = host.encode("idna").decode("ascii")
    except UnicodeError:
        raise BadDestination from None
    if not all(letter.isalnum() or letter in "-._" for letter in plain):
        raise BadDestination
    return plain.lower() + port


def _matches(host: str, pattern: str) -> bool:
    return host.endswith(pattern[1:]) if pattern.startswith("*.") else host == pattern


def parsed_query(query: str) -> list[tuple[str, str]]:
    """Every field of a query, decoded; what cannot be decoded is replaced, never refused."""
    return parse_qsl(query, keep_blank_values=True, max_num_fields=None, errors="replace")
