"""Which country an address is in, when `GEOIP_DB` names a database file (MaxMind's format).

Any file with `country.iso_code` will do: GeoLite2 or GeoIP2 Country and City, DB-IP's, IPinfo's.
Without a file, or while it cannot be read, the country is unknown and everything else goes on.
"""

from functools import cache, lru_cache
from ipaddress import ip_network
from typing import Any

import maxminddb

from flowlink.kernel import logs, settings

UNKNOWN = 0
_LETTERS = 26
_A = ord("A")
_MIXED = {"", "XX", "T1"}


def number(code: str) -> int:
    """The number under which a country of two letters is kept; 0 for anything else."""
    if len(code) != 2 or not code.isascii() or not code.isalpha() or code.upper() in _MIXED:
        return UNKNOWN
    letters = code.upper()
    return (ord(letters[0]) - _A) * _LETTERS + ord(letters[1]) - _A + 1


def code(kept: int) -> str:
    """The two letters of a country; nothing for an unknown one."""
    if kept == UNKNOWN:
        return ""
    first, second = divmod(kept - 1, _LETTERS)
    return chr(_A + first) + chr(_A + second)


def available() -> bool:
    """Whether countries can be told here."""
    return _reader(settings.current().geoip_db) is not None


def of(address: str) -> int:
    """The number of the country that an address (or its network) is in."""
    path = settings.current().geoip_db
    return _found(path, address) if path else UNKNOWN


@lru_cache(maxsize=20_000)
def _found(path: str, address: str) -> int:
    reader = _reader(path)
    if reader is None or not address:
        return UNKNOWN
    try:
        found: Any = reader.get(str(ip_network(address, strict=False).network_address))
    except (ValueError, maxminddb.InvalidDatabaseError):  # no address, or a damaged file
        return UNKNOWN
    if not isinstance(found, dict):
        return UNKNOWN
    country = found.get("country") or found.get("registered_country")
    if isinstance(country, dict):
        country = country.get("iso_code")
    return number(country) if isinstance(country, str) else UNKNOWN


@cache
def _reader(path: str) -> maxminddb.Reader | None:
    if not path:
        return None
    try:
        return maxminddb.open_database(path)
    except (OSError, maxminddb.InvalidDatabaseError) as error:
        logs.get().warning("no countries", file=path, error=str(error)[:200])
        return None
