"""Becoming a partner, and the name one shows."""

import re
from collections.abc import Mapping
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db, events, settings
from flowlink.kernel.errors import Invalid, Refused
from flowlink.kernel.policy import Policy
from flowlink.notify import service as notify
from flowlink.partners import groups, ids, onboarding, queries, referrals
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus

TERMS_VERSION = onboarding.PACKAGED
HANDLE = re.compile(r"[a-z0-9][a-z0-9_-]{1,28}[a-z0-9]")
RESERVED = {"admin", "administrator", "contentflow", "flowlink", "operator", "servelink", "support"}


class AlreadyDecided(Refused):
    message = "This application was decided already."


class ReasonMissing(Invalid):
    message = "Please give a reason."
    field = "reason"


class BadHandle(Invalid):
    message = "A handle has 3 to 30 small letters, digits, hyphens or underscores."
    field = "handle"


class HandleReserved(Invalid):
    message = "This handle is reserved. Please choose another one."
    field = "handle"


class HandleTaken(Refused):
    message = "This handle is taken."
    field = "handle"


def join(
    session: Session,
    *,
    user_id: UserId,
    terms_version: str,
    policy: Policy,
    now: datetime,
    answers: Mapping[UUID, str] | None = None,
    invitation: str = "",
) -> Partner:
    """Accept the terms and become a partner; joining again changes nothing (spec 3).

    :raises onboarding.OldTerms: other terms than those in force were accepted.
    :raises onboarding.AnswerMissing: newcomers are asked something.
    :raises referrals.SelfReferral: they were invited by themselves.
    """
    if terms_version != onboarding.version_in_force(session, now):
        raise onboarding.OldTerms
    email, lang = identity.email_of(session, user_id), identity.lang_of(session, user_id)
    inviter = referrals.check(session, code=invitation, email=email)
    opened = policy.partner_approval == "open"
    status = PartnerStatus.ACTIVE if opened else PartnerStatus.PENDING
    partner, joined = _create(session, user_id=user_id, status=status, now=now)
    if joined:
        onboarding.keep_answers(
            session, partner_id=PartnerId(partner.id), answers=answers or {}, lang=lang, now=now
        )
        if inviter is not None:
            referrals.keep(
                session,
                referrer_id=inviter.id,
                referred_id=partner.id,
                policy=policy,
                now=now,
            )
        events.emit(session, "partner.joined", _payload(partner))
    return partner


def ensure_active(session: Session, *, user_id: UserId, now: datetime) -> Partner:
    """For the command line: a partner who is approved and has accepted the terms."""
    partner, joined = _create(session, user_id=user_id, status=PartnerStatus.ACTIVE, now=now)
    if joined:
        events.emit(session, "partner.joined", _payload(partner))
    elif partner.status != PartnerStatus.ACTIVE:
        (partner,) = db.lock(session, Partner, Partner.id == partner.id)
        _decide(session, partner, PartnerStatus.ACTIVE, actor="cli", reason="", now=now)
    return partner


def approve(
    session: Session, *, partner_id: PartnerId, actor: str, now: datetime, ip: str = ""
) -> Partner:
    """Let a waiting partner in.

    :raises AlreadyDecided: they do not wait.
    """
    partner = _waiting(session, partner_id)
    _decide(session, partner, PartnerStatus.ACTIVE, actor=actor, reason="", now=now, ip=ip)
    return partner


def decline(
    session: Session, *, partner_id: PartnerId, reason: str, actor: str, now: datetime, ip: str = ""
) -> Partner:
    """Close a waiting partner's application, for a reason they can read.

    :raises AlreadyDecided: they do not wait.
    """
    if not reason.strip():
        raise ReasonMissing
    partner = _waiting(session, partner_id)
    _decide(session, partner, PartnerStatus.CLOSED, actor=actor, reason=reason, now=now, ip=ip)
    return partner


def choose_handle(
    session: Session, *, partner_id: PartnerId, handle: str, consent: bool = True
) -> Partner:
    """Show `handle` to others; an empty one goes back to the opaque name.

    The leaderboard shows it only with `consent`, else the opaque name too.

    :raises BadHandle: :raises HandleReserved: :raises HandleTaken:
    """
    wanted = handle.strip().lower()
    if wanted:
        _check_handle(wanted)
    db.advisory_lock(session, f"partner-handle:{wanted}")
    taken = select(Partner.id).where(Partner.handle == wanted, Partner.id != partner_id)
    if session.scalar(taken) is not None:
        raise HandleTaken
    partner = queries.get(session, partner_id)
    partner.handle = wanted or None
    partner.leaderboard_consent = consent and bool(wanted)
    return partner


def _check_handle(wanted: str) -> None:
    """Nobody looks like one of us, or like another partner's opaque name."""
    if HANDLE.fullmatch(wanted) is None:
        raise BadHandle
    if wanted in RESERVED or wanted.startswith("partner-"):
        raise HandleReserved


def _create(
    session: Session, *, user_id: UserId, status: PartnerStatus, now: datetime
) -> tuple[Partner, bool]:
    """The user's partner, and whether this call made it; two at once make one."""
    version = onboarding.version_in_force(session, now)
    made = session.scalar(
        insert(Partner)
        .values(
            user_id=user_id,
            status=status,
            terms_version=version,
            terms_accepted_at=now,
            created_at=now,
        )
        .on_conflict_do_nothing(index_elements=["user_id"])
        .returning(Partner.id)
    )
    partner = queries.of_user(session, user_id)
    assert partner is not None
    if made is not None:
        partner_id = PartnerId(made)
        onboarding.note_accepted(session, partner_id=partner_id, version=version, now=now)
        groups.welcome(session, partner_id=partner_id, now=now)
    return partner, made is not None


def _waiting(session: Session, partner_id: PartnerId) -> Partner:
    found = db.lock(session, Partner, Partner.id == partner_id)
    if not found:
        raise queries.UnknownPartner
    if found[0].status != PartnerStatus.PENDING:
        raise AlreadyDecided
    return found[0]


def _decide(
    session: Session,
    partner: Partner,
    status: PartnerStatus,
    *,
    actor: str,
    reason: str,
    now: datetime,
    ip: str = "",
) -> None:
    partner.status = status
    partner.decided_by, partner.decided_at, partner.decision_reason = actor, now, reason
    approved = status == PartnerStatus.ACTIVE
    events.emit(session, "partner.approved" if approved else "partner.declined", _payload(partner))
    subject = ids.public(PartnerId(partner.id))
    action = "approved partner" if approved else "declined partner"
    audit.record(session, actor, action, subject, now, ip, reason=reason)
    _write_to(session, partner, now=now)


def _write_to(session: Session, partner: Partner, *, now: datetime) -> None:
    """Tell them what was decided."""
    user_id = UserId(partner.user_id)
    approved = partner.status == PartnerStatus.ACTIVE
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template="partners/email/approved" if approved else "partners/email/declined",
        lang=identity.lang_of(session, user_id),
        context={
            "reason": partner.decision_reason,
            "url": f"{settings.current().url}/partner/portal",
        },
        source=f"partner:{partner.id}:{partner.status}",
        now=now,
    )


def _payload(partner: Partner) -> dict[str, str]:
    return {"partner_id": str(partner.id)}
