"""Requests held against the types of the official client: what these do not know is refused.

Where the client's type lists words, only these are taken, although the client itself lets any text
through; Stripe's server does not.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin
from urllib.parse import parse_qsl

from stripe import RequestOptions, params
from stripe.params import checkout
from typing_extensions import get_type_hints, is_typeddict

_WHOLE = re.compile(r"-?\d{1,18}")
_KEY = re.compile(r"([a-z0-9_]+)((?:\[[^\[\]]*\])*)")
_ABOUT_THE_CALL = frozenset(RequestOptions.__annotations__)
# The calls that the fake knows, by method and path, with the client's type of their fields.
CALLS: Mapping[tuple[str, str], Any] = {
    ("POST", "/v1/customers"): params.CustomerCreateParams,
    ("GET", "/v1/customers/{id}"): params.CustomerRetrieveParams,
    ("POST", "/v1/checkout/sessions"): checkout.SessionCreateParams,
    ("GET", "/v1/checkout/sessions"): checkout.SessionListParams,
    ("GET", "/v1/checkout/sessions/{id}"): checkout.SessionRetrieveParams,
    ("POST", "/v1/checkout/sessions/{id}/expire"): checkout.SessionExpireParams,
    ("POST", "/v1/payment_intents"): params.PaymentIntentCreateParams,
    ("GET", "/v1/payment_intents"): params.PaymentIntentListParams,
    ("GET", "/v1/payment_intents/{id}"): params.PaymentIntentRetrieveParams,
    ("POST", "/v1/payment_intents/{id}/confirm"): params.PaymentIntentConfirmParams,
    ("POST", "/v1/payment_intents/{id}/cancel"): params.PaymentIntentCancelParams,
    ("POST", "/v1/refunds"): params.RefundCreateParams,
    ("GET", "/v1/refunds"): params.RefundListParams,
    ("GET", "/v1/disputes"): params.DisputeListParams,
    ("GET", "/v1/events"): params.EventListParams,
}


@dataclass(frozen=True, slots=True)
class Issue:
    """One thing that is wrong with a request, in Stripe's words."""

    code: str
    param: str
    message: str


def read(text: str) -> dict[str, Any]:
    """A form such as `a[b][0]=c` as nested mappings. Lists are mappings from "0" on.

    :raises ValueError: not such a form.
    """
    found: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True, strict_parsing=bool(text)):
        match = _KEY.fullmatch(name)
        if match is None:
            raise ValueError(name)
        place = found
        keys = [match[1], *re.findall(r"\[([^\]]*)\]", match[2])]
        for key in keys[:-1]:
            inner = place.setdefault(key, {})
            place = inner if isinstance(inner, dict) else {keys[-1]: inner}
        if keys[-1] in place:
            raise ValueError(f"{name} is given twice")
        place[keys[-1]] = value
    return found


def wrong(call: tuple[str, str], given: Mapping[str, Any]) -> Issue | None:
    """The first thing that the client's type of this call does not allow."""
    return next(_fields(CALLS[call], given, ""), None)


@cache
def _hints(kind: Any) -> Mapping[str, Any]:
    elsewhere = {"StripeContext": str, "Mapping": Mapping}  # of the options that are left out
    hints = get_type_hints(kind, localns=elsewhere)
    return {name: hint for name, hint in hints.items() if name not in _ABOUT_THE_CALL}


def _fields(kind: Any, given: Mapping[str, Any], at: str) -> Iterator[Issue]:
    hints = _hints(kind)
    for name, value in given.items():
        path = f"{at}[{name}]" if at else name
        if name not in hints:
            yield Issue("parameter_unknown", path, f"Received unknown parameter: {path}")
        else:
            yield from _value(hints[name], value, path)
    for name in sorted(kind.__required_keys__ & set(hints) - set(given)):
        path = f"{at}[{name}]" if at else name
        yield Issue("parameter_missing", path, f"Missing required param: {path}.")


def _value(hint: Any, value: Any, at: str) -> Iterator[Issue]:
    if get_origin(hint) in {Union, UnionType}:
        yield from _one_of(get_args(hint), value, at)
    elif is_typeddict(hint):
        if isinstance(value, Mapping):
            yield from _fields(hint, value, at)
        else:
            yield Issue("parameter_invalid_object", at, "Invalid object")
    elif get_origin(hint) is list:
        yield from _list(get_args(hint)[0], value, at)
    elif get_origin(hint) is dict:
        if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
            yield Issue("parameter_invalid_object", at, "Invalid object")
    elif not _plain(hint, value):
        yield Issue("parameter_invalid", at, f"Invalid {at}: {str(value)[:40]}")


def _one_of(options: tuple[Any, ...], value: Any, at: str) -> Iterator[Issue]:
    words = {word for each in options if get_origin(each) is Literal for word in get_args(each)}
    if value == "" and "" in words:
        return
    if words - {""}:  # a list of words: the free text beside it is for words to come
        options = tuple(each for each in options if each is not str)
    tried = [next(_value(each, value, at), None) for each in options]
    if None not in tried:
        yield tried[0] or Issue("parameter_invalid", at, f"Invalid {at}")


def _list(kind: Any, value: Any, at: str) -> Iterator[Issue]:
    if not isinstance(value, Mapping) or list(value) != [str(n) for n in range(len(value))]:
        yield Issue("parameter_invalid_array", at, "Invalid array")
        return
    for place, each in value.items():
        yield from _value(kind, each, f"{at}[{place}]")


def _plain(hint: Any, value: Any) -> bool:
    if not isinstance(value, str):
        return False
    if get_origin(hint) is Literal:
        return value in get_args(hint)
    if hint is int:
        return _WHOLE.fullmatch(value) is not None
    if hint is bool:
        return value in {"true", "false"}
    return hint is str
