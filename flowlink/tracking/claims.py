"""What a postback claims, read through its network's own map. Nothing here touches the database."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from io import BytesIO
from urllib.parse import parse_qsl, unquote_plus

from python_multipart import parse_form
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import Field as FormField

from flowlink.kernel import clock
from flowlink.kernel.money import MICRO, Money
from flowlink.tracking.models import AmountUnit, Network, Status
from flowlink.tracking.networks import CHANGED_AT, CURRENCIES

ABSURD = Money(100_000 * MICRO)
_AMOUNT = re.compile(r"[+-]?[0-9]{1,12}(?:[.,][0-9]{1,12})?")
# A zone whose plus was sent as it is, and so means a blank.
_LOST_PLUS = re.compile(r"([:.][0-9]+) ([0-9]{2}:?[0-9]{2})$")
_THOUSANDS = re.compile(r"[+-]?[0-9]{1,3},[0-9]{3}")  # 1,234 may be either number: ask a person
_LONGEST = {"subid": 300, "txn_id": 200, "goal": 100, "status": 64, "amount": 40, "currency": 8}
_LONGEST |= {CHANGED_AT: 40}
_SECONDS, _MILLISECONDS = re.compile("[0-9]{10}"), re.compile("[0-9]{13}")
_HIDDEN = "***"
# A query that hides nothing: no escapes, no blanks, nothing beyond ASCII.
_PLAIN = re.compile(r"[!-$&-*,-~]*")
_PLAIN_KEY = re.compile(r"(?:(?<=&)|^)key=[^&]*")
_MASKED_KEY = f"key={_HIDDEN}"


class Unreadable(Exception):
    """The postback does not say clearly what it wants; `reason` is the machine's word for why.

    `word` is the status word that the network's map does not know, if that is the reason.
    """

    def __init__(self, reason: str, word: str | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.word = word


@dataclass(frozen=True, slots=True)
class Claim:
    """What the network says: of which click, which event, what it is worth and how it stands.

    `changed_at` is of which moment that is, where its map has a field for it.
    """

    subid: str
    txn_id: str | None
    goal: str
    status: Status
    amount: Money | None
    changed_at: datetime | None = None


def query_in(address: str) -> str:
    """What follows the question mark of an address; a query that stands alone is all of it."""
    before, mark, after = address.strip().partition("?")
    return after if mark and "=" not in before else address.strip()


def fields_of(query: str, content_type: str, body: bytes) -> dict[str, list[str]]:
    """All fields of a request by name, from its query and its form or JSON body."""
    found: dict[str, list[str]] = {}
    for name, value in _pairs(query) + _body_pairs(content_type, body):
        if name in found:
            found[name].append(value)
        else:
            found[name] = [value]
    return found


def without_key(query: str) -> str:
    """The query or form with its key taken out: a stored request must not tell the secret."""
    if _PLAIN.fullmatch(query):
        return _PLAIN_KEY.sub(_MASKED_KEY, query)
    return "&".join(_masked(piece) for piece in query.split("&"))


def body_without_key(content_type: str, body: bytes) -> bytes:
    """The same of a body. A form in parts that ends in rubbish may hide one anywhere."""
    if not body:
        return body
    if _is_multipart(content_type):
        pairs, whole = _parts(content_type, body)
        for name, value in pairs:
            if name.strip() == "key" and value:
                body = body.replace(value.encode(), _HIDDEN.encode())
        return body if whole or b"key" not in body.lower() else b""
    if not _is_json(content_type):
        return without_key(body.decode("latin-1")).encode("latin-1")
    loaded = _loaded(body)
    if isinstance(loaded, dict) and "key" in loaded:
        return json.dumps({**loaded, "key": _HIDDEN}).encode()
    return body


class Reader:
    """A network's map, made ready to read many postbacks. It lives as long as their batch: a map
    that changes is read anew with the next one."""

    def __init__(self, network: Network) -> None:
        self._fields = [(ours, theirs, _LONGEST[ours]) for ours, theirs in network.fields.items()]
        self._statuses = {word: Status(meaning) for word, meaning in network.statuses.items()}
        self._default = Status(network.default_status) if network.default_status else None
        self._currency = network.fixed_currency
        self._unit = AmountUnit(network.amount_unit)

    def read(self, given: Mapping[str, list[str]]) -> Claim:
        """:raises Unreadable: an amount, currency or status that is not to be guessed at."""
        values = {
            ours: _value(given[theirs], ours, longest) if theirs in given else ""
            for ours, theirs, longest in self._fields
        }
        status = self._status(values["status"])
        self._check_currency(values["currency"])
        return Claim(
            subid=values["subid"],
            txn_id=values["txn_id"] or None,
            goal=values["goal"],
            status=status,
            amount=_amount(values["amount"], self._unit),
            changed_at=_moment(values.get(CHANGED_AT, "")),
        )

    def _status(self, word: str) -> Status:
        if not word:
            if self._default is None:
                raise Unreadable("missing_status")
            return self._default
        meaning = self._statuses.get(word.lower())
        if meaning is None:
            raise Unreadable("unknown_status", word.lower())
        return meaning

    def _check_currency(self, code: str) -> None:
        currency = self._currency or code.upper() or "EUR"
        if currency not in CURRENCIES:
            raise Unreadable("unsupported_currency")


def _value(said: Sequence[str], ours: str, longest: int) -> str:
    value = said[0].strip()
    if len(said) > 1 and any(other.strip() != value for other in said):
        raise Unreadable("repeated_field")
    if "\x00" in value or len(value) > longest:
        raise Unreadable(f"unreadable_{ours}")
    return value


@lru_cache(maxsize=10_000)  # prices come again and again
def _amount(text: str, unit: AmountUnit) -> Money | None:
    if not text:
        return None
    if not _AMOUNT.fullmatch(text) or _THOUSANDS.fullmatch(text):
        raise Unreadable("unreadable_amount")
    number = Decimal(text.replace(",", ".")) / (100 if unit == AmountUnit.CENTS else 1)
    if number < 0:
        raise Unreadable("negative_amount")
    if number > ABSURD.decimal():
        raise Unreadable("absurd_amount")
    return Money.exact(number)


def _moment(text: str) -> datetime | None:
    """ISO 8601, UTC where it names no zone; or seconds or milliseconds since 1970."""
    if not text:
        return None
    if _SECONDS.fullmatch(text) or _MILLISECONDS.fullmatch(text):
        return datetime.fromtimestamp(int(text[:10]), UTC)
    try:
        return clock.in_utc(datetime.fromisoformat(_LOST_PLUS.sub(r"\1+\2", text)))
    except ValueError:
        raise Unreadable(f"unreadable_{CHANGED_AT}") from None


def _body_pairs(content_type: str, body: bytes) -> list[tuple[str, str]]:
    if not body:
        return []
    if _is_json(content_type):
        return _json_pairs(body)
    if _is_multipart(content_type):
        return _parts(content_type, body)[0]
    return _pairs(body.decode("latin-1"))


def _is_json(content_type: str) -> bool:
    return content_type.lower().startswith("application/json")


def _is_multipart(content_type: str) -> bool:
    return content_type.lower().startswith("multipart/form-data")


def _parts(content_type: str, body: bytes) -> tuple[list[tuple[str, str]], bool]:
    """The fields of a form in parts (RFC 7578), files left out, and whether all could be read."""
    found: list[tuple[str, str]] = []

    def keep(field: FormField) -> None:
        name, value = field.field_name or b"", field.value or b""
        found.append((name.decode(errors="replace"), value.decode(errors="replace")))

    try:
        parse_form({"Content-Type": content_type.encode("latin-1")}, BytesIO(body), keep, None)
    except FormParserError:
        return found, False
    return found, True


def _pairs(query: str) -> list[tuple[str, str]]:
    if "%" not in query and "+" not in query:  # most say nothing that has to be decoded
        pieces = [piece.partition("=") for piece in query.split("&") if piece]
        return [(name, value) for name, _, value in pieces]
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def _loaded(body: bytes) -> object:
    try:
        return json.loads(body, parse_float=str, parse_int=str)
    except (ValueError, RecursionError):
        return None


def _json_pairs(body: bytes) -> list[tuple[str, str]]:
    """The members of a JSON object that hold plain values; numbers stay as they were written."""
    loaded = _loaded(body)
    members = loaded.items() if isinstance(loaded, dict) else ()
    return [(_plain(name), "" if value is None else _plain(str(value))) for name, value in members]


def _plain(text: str) -> str:
    """Text that can be stored: JSON may hold halves of characters."""
    return text.encode(errors="replace").decode()


def _masked(piece: str) -> str:
    name, equals, _ = piece.partition("=")
    if not equals or ("y" not in name and "%" not in name):
        return piece
    return f"{name}={_HIDDEN}" if unquote_plus(name).strip() == "key" else piece
