"""The one place that knows numbers: a refusal becomes a page, a toast or problem+json."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DataError, OperationalError
from starlette.exceptions import HTTPException

from flowlink.kernel import logs
from flowlink.kernel.errors import (
    FlowlinkError,
    Forbidden,
    Invalid,
    LimitReached,
    NotFound,
    NotSignedIn,
    Refused,
)
from flowlink.web import headers, i18n, links, openapi, render
from flowlink.web.i18n import mark

_NUMBERS: tuple[tuple[type[FlowlinkError], int], ...] = (
    (NotSignedIn, 401),
    (NotFound, 404),
    (Forbidden, 403),
    (Refused, 409),
    (Invalid, 422),
    (LimitReached, 429),
    (FlowlinkError, 400),
)
_TITLES: Mapping[int, str] = {
    400: mark("This did not work"),
    401: mark("Please sign in"),
    403: mark("You may not do this"),
    404: mark("This page does not exist"),
    405: mark("This cannot be done here"),
    409: mark("This cannot be done now"),
    413: mark("This is too large"),
    422: mark("Please check what you entered"),
    429: mark("A moment, please"),
    500: mark("Something went wrong on our side"),
    503: mark("We will be right back"),
}
_MESSAGES: Mapping[int, str] = {
    400: mark("We could not read this request."),
    401: mark("Enter your e-mail address and we will send you a link that signs you in."),
    403: mark("Your account does not have the right for this page."),
    404: mark("It may have moved, or the link has a typing error."),
    405: mark("This address does not take this kind of request."),
    413: mark("What you sent is larger than we accept."),
    500: mark("It has been noted. Nothing that you entered was half done: try again in a moment."),
    503: mark("The service is restarting. Nothing is lost: try again in a few seconds."),
}
# What a page says instead of a kind's bare sentence.
_LONGER: Mapping[str, str] = {
    NotSignedIn.message: _MESSAGES[401],
    Forbidden.message: _MESSAGES[403],
    NotFound.message: _MESSAGES[404],
}
_FIELD_MESSAGES: Mapping[str, str] = {
    "missing": mark("Please fill this in."),
    "string_too_long": mark("This is too long."),
    "string_too_short": mark("This is too short."),
    "extra_forbidden": mark("This field is not known here."),
    "json_invalid": mark("This is not valid JSON."),
}
_FIELD_FALLBACK = mark("This value is not valid.")
_MACHINES = ("/api/", "/aff/", "/webhooks/")  # where only programs ask
_FORM_TYPES = ("application/x-www-form-urlencoded", "multipart/form-data")


@dataclass(frozen=True)
class Problem:
    """A refusal ready to be told. `kind` is its stable machine word, `fields` what to mend."""

    status: int
    kind: str
    message: str
    fields: Sequence[Mapping[str, object]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)


def install(app: FastAPI) -> None:
    """Teach `app` to tell every refusal, and to say so in its OpenAPI document."""
    app.add_exception_handler(FlowlinkError, _refused)
    app.add_exception_handler(RequestValidationError, _unreadable)
    app.add_exception_handler(HTTPException, _by_framework)
    app.add_exception_handler(DataError, _data)
    app.add_exception_handler(OperationalError, _away)
    app.add_exception_handler(Exception, _bug)
    openapi.install(app)


def respond(request: Request, error: FlowlinkError) -> Response:
    """The answer to a refusal, in the form its reader understands."""
    number = next(number for kind, number in _NUMBERS if isinstance(error, kind))
    if number in {409, 422} and _is_form(request):
        number = 400
    message = i18n.message_of(_lang(request), error)
    if error.message in _LONGER and not _wants_json(request):
        message = i18n.translate(_lang(request), _LONGER[error.message])
    about = [{"field": error.field, "message": message}] if error.field else []
    later = {"retry-after": str(error.retry_after_s)} if isinstance(error, LimitReached) else {}
    problem = Problem(number, _slug(type(error).__name__), message, about, later)
    return tell(request, problem)


def tell(request: Request, problem: Problem) -> Response:
    """A page for a browser, a toast for htmx, problem+json for a program.

    With the headers that a route has put into `request.state.answer_headers`.
    """
    told = getattr(request.state, "answer_headers", {})
    problem = replace(problem, headers={**told, **problem.headers})
    if request.headers.get("hx-request") == "true":
        return _toast(request, problem)
    return _json(request, problem) if _wants_json(request) else _page(request, problem)


def too_large(request: Request) -> Response:
    """The answer to a body that we will not read."""
    return tell(request, _plain(request, 413, {}))


def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, FlowlinkError)
    return respond(request, error)


def _unreadable(request: Request, error: Exception) -> Response:
    """What pydantic refused. The values themselves are not repeated: they may be secrets."""
    assert isinstance(error, RequestValidationError)
    lang = _lang(request)
    fields = [
        {
            "field": ".".join(str(part) for part in one["loc"][1:]),
            "place": str(one["loc"][0]),
            "kind": one["type"],
            "message": i18n.translate(lang, _FIELD_MESSAGES.get(one["type"], _FIELD_FALLBACK)),
        }
        for one in error.errors()
    ]
    message = i18n.translate(lang, Invalid.message)
    number = 400 if _is_form(request) else 422
    return tell(request, Problem(number, "unreadable", message, fields))


def _by_framework(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return tell(request, _plain(request, error.status_code, error.headers or {}))


def _data(request: Request, error: Exception) -> Response:
    """PostgreSQL's text cannot hold NUL: who sends it is told. Anything else is our bug.

    Nothing has a name with NUL in it: an address with one is an unknown address.
    """
    assert isinstance(error, DataError)
    if "NUL" not in str(error.orig):
        raise error
    return respond(request, NotFound() if "\x00" in request.scope["path"] else Invalid())


def _away(request: Request, error: Exception) -> Response:
    logs.get(__name__).error("database is away", path=request.url.path, error=str(error)[:200])
    return tell(request, _plain(request, 503, {"retry-after": "5"}))


def _bug(request: Request, error: Exception) -> Response:
    """Our fault. This answer is sent from outside the middleware, so it brings its own headers."""
    logs.get(__name__).error(
        "unexpected error", path=request.url.path, request_id=_reference(request), exc_info=error
    )
    answer = tell(request, _plain(request, 500, {}))
    headers.protect(request.scope, answer.headers)
    return answer


def _plain(request: Request, status: int, sent: Mapping[str, str]) -> Problem:
    """A refusal that has a number and no more to say."""
    known = status if status in _MESSAGES else 500 if status >= 500 else 400
    message = i18n.translate(_lang(request), _MESSAGES[known])
    return Problem(status, _slug(HTTPStatus(status).phrase), message, headers=sent)


def _json(request: Request, problem: Problem) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:flowlink:problem:{problem.kind}",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": problem.message,
        "instance": request.url.path,
        "request_id": _reference(request),
    }
    if problem.fields:
        body["errors"] = list(problem.fields)
    sent = dict(problem.headers)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        sent.setdefault("www-authenticate", "Bearer")  # RFC 9110, 15.5.2: how to sign in
    return JSONResponse(body, problem.status, sent, media_type="application/problem+json")


def _toast(request: Request, problem: Problem) -> Response:
    """Into the corner of the page that asked, which stays as it is."""
    answer = render.fragment(
        request, "ui/_toast.html", status_code=problem.status, message=problem.message
    )
    answer.headers.update(problem.headers)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        answer.headers["hx-refresh"] = "true"
    answer.headers["hx-retarget"] = "#toasts"
    answer.headers["hx-reswap"] = "beforeend"
    answer.headers["hx-push-url"] = "false"
    return answer


def _page(request: Request, problem: Problem) -> Response:
    title = _TITLES.get(problem.status, _TITLES[500 if problem.status >= 500 else 400])
    answer = render.page(
        request,
        "ui/error.html",
        status_code=problem.status,
        status=problem.status,
        heading=title,
        message=problem.message,
        fields=[one for one in problem.fields if one.get("place")],
        back=links.came_from(request),
        sign_in="/partner/magic" if request.url.path.startswith("/partner") else "/login",
        reference=_reference(request),
    )
    answer.headers.update(problem.headers)
    return answer


def _wants_json(request: Request) -> bool:
    """A program, by what it accepts, where it asks, what it sent, or how it signed in."""
    accept = request.headers.get("accept", "")
    if "text/html" in accept:
        return False
    return (
        "json" in accept
        or request.url.path.startswith(_MACHINES)
        or request.headers.get("content-type", "").startswith("application/json")
        or headers.is_keyed(request.headers)
    )


def _is_form(request: Request) -> bool:
    """Filled in by hand or like it, or not at all: 400 whatever the reason (spec 3)."""
    sent = request.headers.get("content-type", "")
    bare = request.method == "POST" and not sent and not request.url.path.startswith(_MACHINES)
    return sent.startswith(_FORM_TYPES) or bare or not _wants_json(request)


def _lang(request: Request) -> str:
    return getattr(request.state, "lang", i18n.DEFAULT)


def _reference(request: Request) -> str:
    return getattr(request.state, "request_id", "")


def _slug(name: str) -> str:
    """`BelowMinimum` and `Not Found` as `below-minimum` and `not-found`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|\s+", "-", name).lower()
