"""Signing in and out, and the account page."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Form, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, StringConstraints

from flowlink.identity import clients, hats, owned_keys, queries, scopes, service as identity
from flowlink.identity.deps import (
    ORIGIN_COOKIE,
    ClientIp,
    CurrentViewer,
    MaybeViewer,
    Viewer,
    cookie_name,
)
from flowlink.identity.ids import KEY, SESSION, KeyId, SessionId, actor_of
from flowlink.identity.models import Role
from flowlink.identity.scopes import OwnerKind
from flowlink.identity.service import Area, LinkExpired, LinkUnknown, LinkUsed, SignedIn
from flowlink.kernel import clock, ids, logs, settings
from flowlink.kernel.errors import Forbidden, Invalid
from flowlink.notify import transport
from flowlink.web import csv
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

NEXT_MAX = 500
_GET = ["GET", "HEAD"]

router = APIRouter(include_in_schema=False)
log = logs.get("flowlink.identity")


class NotYours(Forbidden):
    message = "You have nothing that such a key could act for."


class AskForm(BaseModel):
    email: str = ""
    next: str = ""


class KeyForm(BaseModel):
    kind: OwnerKind
    name: Annotated[str, StringConstraints(max_length=200)] = ""
    scopes: list[str] = []


@router.api_route("/login", methods=_GET)
def login(request: Request, viewer: MaybeViewer, next: str = "") -> Response:  # noqa: A002
    if viewer:
        return see_other(_own_path(next) or _home(viewer.role, viewer.partner_id))
    return page(request, "identity/login.html", next=_own_path(next))


@router.post("/login")
def ask_for_link(
    request: Request, session: Db, ip: ClientIp, form: Annotated[AskForm, Form()]
) -> Response:
    return _mail_link(request, session, form, area="user", ip=ip)


@router.post("/partner/magic")
def ask_for_partner_link(
    request: Request, session: Db, ip: ClientIp, form: Annotated[AskForm, Form()]
) -> Response:
    return _mail_link(request, session, form, area="partner", ip=ip)


@router.get("/partner/magic")
def back_to_login() -> Response:
    """A reload of the answer above lands here."""
    return see_other("/login")


@router.api_route("/login/verify", methods=_GET)
@router.api_route("/partner/login", methods=_GET)
def show_link(request: Request, session: Db, token: str = "") -> Response:
    """Only a button: whatever opens the link to look at it does not use it up."""
    try:
        identity.check_link(session, token=token, now=clock.now())
    except (LinkUnknown, LinkUsed, LinkExpired) as error:
        return _dead_link(request, error)
    return page(request, "identity/verify.html")


@router.post("/login/verify")
@router.post("/partner/login")
def use_link(
    request: Request,
    session: Db,
    ip: ClientIp,
    token: str = "",
    next: str = "",  # noqa: A002
) -> Response:
    try:
        signed_in = identity.consume_link(
            session,
            token=token,
            now=clock.now(),
            user_agent=request.headers.get("user-agent", ""),
            lang=request.state.lang,
            replaces=request.cookies.get(cookie_name(), ""),
            ip=ip,
        )
    except (LinkUnknown, LinkUsed, LinkExpired) as error:
        return _dead_link(request, error)
    response = see_other(_own_path(next) or _landing(session, signed_in))
    _set_cookie(response, signed_in.session_token)
    return response


@router.post("/logout")
def sign_out(session: Db, viewer: MaybeViewer) -> Response:
    if viewer:
        identity.revoke_session(
            session, user_id=viewer.user_id, session_id=viewer.session_id, now=clock.now()
        )
    return _signed_out()


@router.api_route("/account", methods=_GET)
def account(request: Request, session: Db, viewer: CurrentViewer) -> HTMLResponse:
    kinds = _kinds(viewer)
    return page(
        request,
        "identity/account.html",
        viewer=viewer,
        sessions=queries.sessions_of(session, user_id=viewer.user_id, now=clock.now()),
        device=clients.device,
        keys=queries.keys_of(session, user_id=viewer.user_id),
        scopes={kind: scopes.SCOPES[kind] for kind in kinds},
    )


@router.get("/account/sessions.csv")
def sessions_csv(session: Db, viewer: CurrentViewer) -> Response:
    found = queries.sessions_of(session, user_id=viewer.user_id, now=clock.now())
    rows = (
        (
            ids.public(SESSION, one.id),
            clients.device(one.user_agent),
            one.last_seen_at,
            one.created_at,
        )
        for one in found
    )
    return csv.response("sessions.csv", ("session", "device", "last_seen_at", "signed_in_at"), rows)


@router.get("/account/keys.csv")
def keys_csv(session: Db, viewer: CurrentViewer) -> Response:
    found = queries.keys_of(session, user_id=viewer.user_id)
    rows = ((one.owner_kind, *owned_keys.cells(one)) for one in found)
    return csv.response("keys.csv", ("acts_for", *owned_keys.HEADER), rows)


@router.post("/account/language")
def choose_language(
    session: Db, viewer: CurrentViewer, lang: Annotated[str, Form()] = ""
) -> Response:
    identity.set_language(session, user_id=viewer.user_id, lang=lang)
    return see_other(f"/account?lang={lang}")


@router.post("/account/sessions/{session_id}/revoke")
def revoke_session(session: Db, viewer: CurrentViewer, session_id: str) -> Response:
    chosen = SessionId(ids.parse(SESSION, session_id))
    identity.revoke_session(session, user_id=viewer.user_id, session_id=chosen, now=clock.now())
    return _signed_out() if chosen == viewer.session_id else see_other("/account")


@router.post("/account/sessions/revoke")
def sign_out_everywhere(session: Db, viewer: CurrentViewer) -> Response:
    identity.revoke_sessions(session, user_id=viewer.user_id, now=clock.now())
    return _signed_out()


@router.get("/account/keys")
def back_to_account() -> Response:
    """A reload of the answer below lands here; a key is shown once."""
    return see_other("/account")


@router.post("/account/keys")
def make_key(
    request: Request,
    session: Db,
    viewer: CurrentViewer,
    ip: ClientIp,
    form: Annotated[KeyForm, Form()],
) -> Response:
    kinds = _kinds(viewer)
    if form.kind not in kinds:
        raise NotYours
    token = identity.make_api_key(
        session,
        owner_kind=form.kind,
        owner_id=kinds[form.kind],
        scopes=form.scopes,
        name=form.name,
        user_id=viewer.user_id,
        actor=actor_of(viewer.user_id),
        now=clock.now(),
        ip=ip,
    )
    return page(request, "identity/key_made.html", key=token, back="/account")


@router.post("/account/keys/{key_id}/revoke")
def revoke_key(session: Db, viewer: CurrentViewer, ip: ClientIp, key_id: str) -> Response:
    identity.revoke_api_key(
        session,
        user_id=viewer.user_id,
        key_id=KeyId(ids.parse(KEY, key_id)),
        now=clock.now(),
        ip=ip,
    )
    return see_other("/account")


def _mail_link(
    request: Request, session: Db, form: AskForm, *, area: Area, ip: str
) -> HTMLResponse:
    url = identity.mail_link(
        session,
        email=form.email,
        area=area,
        lang=request.state.lang,
        ip=ip,
        next_path=_own_path(form.next),
        origin=request.cookies.get(ORIGIN_COOKIE, ""),
        now=clock.now(),
    )
    is_printed = not (transport.is_set_up() or settings.current().in_production)
    if is_printed:
        log.info("sign-in link", url=url)
    email = form.email.strip()
    return page(request, "identity/check_mail.html", email=email, is_printed=is_printed)


def _dead_link(request: Request, error: Invalid) -> HTMLResponse:
    area = "partner" if request.url.path.startswith("/partner/") else "user"
    return page(
        request, "identity/dead_link.html", status_code=400, message=error.message, area=area
    )


def _own_path(path: str) -> str:
    """A path of ours, or nothing: no other host gets in by this door."""
    is_ours = path.startswith("/") and not path.startswith("//") and "\\" not in path
    return path if is_ours and path.isprintable() and len(path) <= NEXT_MAX else ""


def _landing(session: Db, signed_in: SignedIn) -> str:
    if signed_in.area == "partner":
        return "/partner/portal"
    return _home(signed_in.role, hats.partner_of(session, signed_in.user_id))


def _home(role: str | None, partner_id: UUID | None) -> str:
    """Where somebody's work is, by their hat."""
    if role == Role.OPERATOR:
        return "/admin/monitoring"
    return "/account" if partner_id is None else "/partner/portal"


def _kinds(viewer: Viewer) -> dict[OwnerKind, UUID | None]:
    """What keys of this person could act for, and whose they would be."""
    kinds: dict[OwnerKind, UUID | None] = {}
    if viewer.is_operator:
        kinds["operator"] = viewer.user_id
    if viewer.partner_id is not None:
        kinds["partner"] = viewer.partner_id
    return kinds


def _set_cookie(response: Response, token: str) -> None:
    response.set_cookie(
        cookie_name(),
        token,
        max_age=int(identity.SESSION_LIFE.total_seconds()),
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings.current().is_https,
    )


def _signed_out() -> Response:
    response = see_other("/login")
    response.delete_cookie(
        cookie_name(),
        path="/",
        httponly=True,
        samesite="lax",
        secure=settings.current().is_https,
    )
    return response
