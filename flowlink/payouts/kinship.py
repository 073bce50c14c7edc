"""Partners who are one person: the same payout details, or the same mailbox under several names.

Found by fingerprints, so nothing is decrypted for it. Each of them is watched once (rule
`account`) until a person has looked; what a person has cleared is not brought up again.
"""

import re
from collections import defaultdict
from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.identity.models import User
from flowlink.kernel.policy import Policy
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts.models import Method
from flowlink.risk import watches

SCORE = 60
_TAG = re.compile(r"\+[^@]*@")
_DOTS_MEAN_NOTHING = ("@gmail.com", "@googlemail.com")


def report(session: Session, *, now: datetime, policy: Policy) -> int:
    """Watch whoever shares an account with somebody else; how many people that are."""
    told = 0
    for shared, people in (*_by_method(session), *_by_mailbox(session)):
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


def _mailbox(email: str) -> str:
    """Where mail to this address ends up: tags, and for one big provider dots, mean nothing."""
    plain = _TAG.sub("@", email.lower())
    local, at, domain = plain.rpartition("@")
    if plain.endswith(_DOTS_MEAN_NOTHING):
        return f"{local.replace('.', '')}@gmail.com"
    return f"{local}{at}{domain}"
