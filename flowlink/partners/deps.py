"""Who is asking, as a partner: what routes above can require."""

from typing import Annotated

from fastapi import Depends, HTTPException, Request

from flowlink.identity.deps import ApiKey, MaybeUser
from flowlink.identity.queries import Principal
from flowlink.kernel import clock
from flowlink.kernel.errors import Forbidden, NotSignedIn
from flowlink.partners import onboarding, queries
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.web.sessions import Db

JOIN = "/partners/join"
_READING = {"GET", "HEAD", "OPTIONS"}
_LINKS = {"/partner/links", "/api/partner/links"}


class NotPartner(Forbidden):
    message = "This is for partners. Please join first."


class NotActive(Forbidden):
    message = "Your partner account is not open."


class NotWithThisKey(Forbidden):
    message = "This key may not do this."


def require_partner(request: Request, session: Db, key: ApiKey, user_id: MaybeUser) -> PartnerId:
    """The active partner behind the session or the API key.

    :raises NotSignedIn: nobody. :raises NotPartner: :raises NotActive: for programs; a reader of
    pages is sent to where one joins, or waits. :raises onboarding.TermsChanged: new links wait for
    the new terms.
    """
    if key is not None:
        return _may(session, request, _active(_keyed(session, request, key)))
    if user_id is None:
        raise NotSignedIn
    partner = queries.of_user(session, user_id)
    if not wants_json(request) and (partner is None or partner.status != PartnerStatus.ACTIVE):
        raise HTTPException(303, headers={"Location": JOIN})
    return _may(session, request, _active(partner))


CurrentPartner = Annotated[PartnerId, Depends(require_partner)]


def find_partner(session: Db, user_id: MaybeUser) -> Partner | None:
    """Whoever is signed in as the partner they are, waiting and closed ones too."""
    return queries.of_user(session, user_id) if user_id else None


MaybePartner = Annotated[Partner | None, Depends(find_partner)]


def _keyed(session: Db, request: Request, key: Principal) -> Partner:
    if key.owner_kind != "partner" or key.owner_id is None:
        raise NotWithThisKey
    if key.scopes is not None:
        key.require(_scope(request))
    return queries.get(session, PartnerId(key.owner_id))


def _scope(request: Request) -> str:
    """What a scoped key needs here. Money leaves only with a key that may do all its owner may."""
    reads = request.method in _READING
    if request.url.path.startswith("/api/partner/links"):
        return "links:read" if reads else "links:write"
    return "earnings:read" if reads else "withdrawals:write"


def _active(partner: Partner | None) -> Partner:
    if partner is None:
        raise NotPartner
    if partner.status != PartnerStatus.ACTIVE:
        raise NotActive
    return partner


def _may(session: Db, request: Request, partner: Partner) -> PartnerId:
    """New terms stop one thing until they are accepted: making more links."""
    makes_link = request.method not in _READING and request.url.path in _LINKS
    if makes_link:
        version = partner.terms_version
        onboarding.check_accepted(session, version=version, now=clock.now())
    return PartnerId(partner.id)


def wants_json(request: Request) -> bool:
    """Whether a program reads the answer: by what it accepts, or where it asks."""
    accept = request.headers.get("accept", "")
    asked = "json" in accept and "text/html" not in accept
    return asked or request.url.path.startswith("/api/")
