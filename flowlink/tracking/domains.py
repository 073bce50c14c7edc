"""Hosts of their own for short links: an operator keeps the list, the host decides the namespace.

On such a host a link is found as `/{code}` and as `/l/{code}`; nothing else is served there.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import NewType
from urllib.parse import urlsplit
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids, settings
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.tracking import destinations
from flowlink.tracking.models import Domain, Link

DOMAIN = "dom"
DomainId = NewType("DomainId", UUID)


class BadDomain(Invalid):
    message = "“%(host)s” is not the name of a host."
    field = "host"


class OwnHost(Refused):
    message = "This is the host of the installation itself."
    field = "host"


class DomainExists(Refused):
    message = "This domain is there already."
    field = "host"


class UnknownDomain(NotFound):
    message = "There is no such domain."
    field = "domain"


def add(session: Session, *, host: str, actor: str, now: datetime, ip: str = "") -> Domain:
    """Let partners make links on this host, which has to lead to this installation.

    :raises BadDomain: :raises OwnHost: :raises DomainExists:
    """
    name = _cleaned(host)
    if name == own_host():
        raise OwnHost
    values = insert(Domain).values(host=name, active=True, created_at=now)
    added = values.on_conflict_do_nothing(index_elements=["host"]).returning(Domain)
    domain = session.scalars(added).one_or_none()
    if domain is None:
        raise DomainExists
    audit.record(session, actor, "domain.added", ids.public(DOMAIN, domain.id), now, ip, host=name)
    return domain


def switch(
    session: Session, *, domain_id: DomainId, active: bool, actor: str, now: datetime, ip: str = ""
) -> Domain:
    """Serve the links of a domain, or none of them for the time being.

    :raises UnknownDomain:
    """
    found = db.lock(session, Domain, Domain.id == domain_id)
    if not found:
        raise UnknownDomain
    if found[0].active != active:
        found[0].active = active
        what = "domain.opened" if active else "domain.closed"
        subject = ids.public(DOMAIN, found[0].id)
        audit.record(session, actor, what, subject, now, ip, host=found[0].host)
    return found[0]


def named(session: Session, host: str) -> Domain | None:
    """The open domain of this name; None for our own host, which needs none.

    :raises UnknownDomain:
    """
    name = host.strip().lower()
    if name in {"", own_host()}:
        return None
    wanted = select(Domain).where(Domain.host == name, Domain.active)
    found = None if "\x00" in name else session.scalar(wanted)
    if found is None:
        raise UnknownDomain
    return found


def active(session: Session) -> Sequence[Domain]:
    """The domains that links can be made on, by name."""
    return session.scalars(select(Domain).where(Domain.active).order_by(Domain.host)).all()


def counted(session: Session) -> Sequence[tuple[Domain, int]]:
    """All domains by name, with how many links each has."""
    links = select(func.count()).where(Link.domain_id == Domain.id).scalar_subquery()
    rows = session.execute(select(Domain, links).order_by(Domain.host))
    return [(row[0], row[1]) for row in rows]


def own_host() -> str:
    """The host of the installation, as a browser names it."""
    return urlsplit(settings.current().url).netloc.lower()


def address(host: str | None, code: str) -> str:
    """The short address of a code on a domain, or on our own host."""
    base_url = settings.current().url
    if host is None:
        return f"{base_url}/l/{code}"
    return f"{base_url.partition('://')[0]}://{host}/{code}"


def _cleaned(host: str) -> str:
    bare = host.strip().lower().removesuffix(".")
    try:
        name = destinations.host_of(
            destinations.cleaned(f"https://{bare}/", base_url=""), base_url=""
        )
    except destinations.BadDestination:
        raise BadDomain(host=host) from None
    if "." not in name or set(bare) & set("/?#{}[]*_") or len(name) > 253:
        raise BadDomain(host=host)
    return name
