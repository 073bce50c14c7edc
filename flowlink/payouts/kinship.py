"""Partners who are one person, and partners who brought themselves.

The same payout details, or the same mailbox under several names; a customer of ours whom the link
of a partner brought, and who reads that partner's mailbox or works at the same company. Found by
fingerprints, so nothing is decrypted for it. Each partner is watched once (rule `account`) until a
person has looked; what a person has cleared is not brought up again.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, aliased

from flowlink.identity.models import User
from flowlink.kernel.policy import Policy
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts.models import Method
from flowlink.risk import watches
from flowlink.tracking.arrival_models import Arrival
from flowlink.tracking.models import Link

SCORE = 60
_TAG = re.compile(r"\+[^@]*@")
_DOTS_MEAN_NOTHING = ("@gmail.com", "@googlemail.com")
# Where everybody has a mailbox: the same domain says nothing.
_EVERYBODYS = frozenset(
    (
        *("gmail.com", "googlemail.com", "outlook.com", "outlook.fr", "hotmail.com", "hotmail.fr"),
        *("live.com", "live.fr", "msn.com", "yahoo.com", "yahoo.fr", "ymail.com", "icloud.com"),
        *("me.com", "mac.com", "aol.com", "gmx.com", "gmx.fr", "gmx.net", "gmx.de", "web.de"),
        *("proton.me", "protonmail.com", "pm.me", "tutanota.com", "mail.com", "zoho.com"),
        *("orange.fr", "wanadoo.fr", "free.fr", "sfr.fr", "neuf.fr", "laposte.net", "bbox.fr"),
        *("numericable.fr", "bluewin.ch", "skynet.be", "telenet.be", "videotron.ca", "qq.com"),
    )
)


def report(session: Session, *, now: datetime, policy: Policy) -> int:
    """Watch whoever shares an account with somebody else; how many people that are."""
    told = 0
    found = (*_by_customer(session), *_by_mailbox(session), *_by_method(session))
    for shared, people in found:  # of several the last, which says most, is kept
        names = sorted(partner_ids.public(partner_id) for partner_id in people)
        for partner_id in sorted(people):
            evidence: dict[str, Any] = {"rule": "account", "shared": shared, "partners": names}
            watch_id = watches.report(
                session,
                partner_id=partner_id,
                evidence=evidence,
                score=SCORE,
                now=now,
                policy=policy,
            )
            told += watch_id is not None
    return told


def _by_method(session: Session) -> Iterator[tuple[str, Collection[PartnerId]]]:
    rows = (
        select(func.array_agg(Method.partner_id.distinct()))
        .join(Partner, Partner.id == Method.partner_id)
        .where(Partner.status == PartnerStatus.ACTIVE)
        .group_by(Method.fingerprint)
        .having(func.count(Method.partner_id.distinct()) > 1)
    )
    for people in session.scalars(rows):
        yield "payout details", {PartnerId(key) for key in people}


def _by_mailbox(session: Session) -> Iterator[tuple[str, Collection[PartnerId]]]:
    rows = (
        select(Partner.id, User.email)
        .join(User, User.id == Partner.user_id)
        .where(Partner.status == PartnerStatus.ACTIVE)
    )
    boxes: dict[str, set[PartnerId]] = defaultdict(set)
    for partner_id, email in session.execute(rows):
        boxes[_mailbox(email)].add(PartnerId(partner_id))
    for people in boxes.values():
        if len(people) > 1:
            yield "mailbox", people


def _by_customer(session: Session) -> Iterator[tuple[str, Collection[PartnerId]]]:
    """Whose link brought an account with their own mailbox, or of their own company."""
    mine, theirs = aliased(User), aliased(User)
    rows = (
        select(Partner.id, mine.email, theirs.email)
        .join(mine, mine.id == Partner.user_id)
        .join(Link, Link.partner_id == Partner.id)
        .join(Arrival, Arrival.link_id == Link.id)
        .join(theirs, theirs.id == Arrival.user_id)
        .where(
            Partner.status == PartnerStatus.ACTIVE,
            func.split_part(mine.email, "@", 2) == func.split_part(theirs.email, "@", 2),
        )
        .distinct()
    )
    same: dict[str, set[PartnerId]] = {"company": set(), "own customer": set()}
    for partner_id, email, customer in session.execute(rows):
        if _mailbox(email) == _mailbox(customer):
            same["own customer"].add(PartnerId(partner_id))
        elif email.rpartition("@")[2] not in _EVERYBODYS:
            same["company"].add(PartnerId(partner_id))
    for shared, people in same.items():
        for partner_id in people:
            yield shared, {partner_id}


def _mailbox(email: str) -> str:
    """Where mail to this address ends up: tags, and for one big provider dots, mean nothing."""
    plain = _TAG.sub("@", email.lower())
    local, at, domain = plain.rpartition("@")
    if plain.endswith(_DOTS_MEAN_NOTHING):
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}{at}{domain}"
