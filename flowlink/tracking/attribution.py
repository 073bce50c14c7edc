"""Whose conversion it is: from the click id in a postback to the link that earned it."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import ARRAY, BigInteger, any_, bindparam, select
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.kernel.errors import NotFound
from flowlink.partners import ids as partner_ids
from flowlink.partners.models import Partner
from flowlink.tracking import clickid
from flowlink.tracking.clickid import ClickRef
from flowlink.tracking.ids import LINK
from flowlink.tracking.models import Link

# Built once: to build it for each batch takes longer than to run it.
_OWNERS = select(Link.number, Link.id, Link.partner_id, Link.offer_id, Link.own_content).where(
    Link.number == any_(bindparam("numbers", type_=ARRAY(BigInteger)))
)
_Owner = tuple[UUID, UUID, UUID, bool]
_LARGEST = 2**63 - 1
_DIGITS = re.compile(r"[0-9]{1,19}")


class NoClick(Exception):
    """The postback names no click of ours; `reason` is the machine's word for why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Attribution:
    """The link that earned it. `click` is what tells this click from others of the link."""

    link_id: UUID
    partner_id: UUID
    offer_id: UUID
    number: int | None
    click: str
    own_content: bool = False


def find_all(session: Session, subids: Collection[str]) -> dict[str, Attribution | NoClick]:
    """As `find`, for many: our own click ids with one query."""
    refs = {subid: clickid.read(subid) for subid in subids}
    numbers = {ref.link for ref in refs.values() if ref is not None}
    links: dict[int, _Owner] = {}
    if numbers:
        found = session.execute(_OWNERS, {"numbers": list(numbers)})
        links = {number: tuple(owner) for number, *owner in found}  # type: ignore[misc]
    return {subid: _found(session, subid, ref, links) for subid, ref in refs.items()}


def find(session: Session, subid: str) -> Attribution:
    """Read our signed click id, or the old `pid:aid:clk` (spec 3).

    :raises NoClick: missing, unreadable, forged, or of a link that does not exist.
    """
    if not subid:
        raise NoClick("missing_click")
    if subid.count(":") == 2:
        return _old_style(session, subid)
    ref = clickid.read(subid)
    if ref is None:
        raise NoClick("unreadable_click")
    link = session.scalar(select(Link).where(Link.number == ref.link))
    if link is None:
        raise NoClick("unknown_click")
    return _of(link, ref.number, str(ref.number))


def _found(
    session: Session, subid: str, ref: ClickRef | None, links: dict[int, _Owner]
) -> Attribution | NoClick:
    if ref is not None and ref.link in links:
        link_id, partner_id, offer_id, own_content = links[ref.link]
        return Attribution(link_id, partner_id, offer_id, ref.number, str(ref.number), own_content)
    try:
        return find(session, subid)
    except NoClick as error:
        return error


def _old_style(session: Session, subid: str) -> Attribution:
    """`pid:aid:clk`: a partner, a link of theirs, and a click. A signed click decides alone."""
    partner_text, link_text, click = subid.split(":")
    ref = clickid.read(click)
    if ref is not None:
        return find(session, click)
    partner_id = _partner(session, partner_text)
    link = _link(session, link_text)
    if partner_id is None or link is None or link.partner_id != partner_id:
        raise NoClick("unknown_click")
    return _of(link, None, f"{link.number}:{click}")


def _of(link: Link, number: int | None, click: str) -> Attribution:
    return Attribution(link.id, link.partner_id, link.offer_id, number, click, link.own_content)


def _partner(session: Session, text: str) -> UUID | None:
    if _DIGITS.fullmatch(text) and int(text) <= _LARGEST:
        return session.scalar(select(Partner.id).where(Partner.number == int(text)))
    try:
        return session.scalar(select(Partner.id).where(Partner.id == partner_ids.parse(text)))
    except NotFound:
        return None


def _link(session: Session, text: str) -> Link | None:
    found = session.scalar(select(Link).where(Link.code == text, Link.domain_id.is_(None)))
    if found is None and _DIGITS.fullmatch(text) and int(text) <= _LARGEST:
        return session.scalar(select(Link).where(Link.number == int(text)))
    try:
        return found or session.get(Link, ids.parse(LINK, text))
    except NotFound:
        return None
