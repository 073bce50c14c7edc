"""Becoming a partner: terms first, once, and let in as the policy says."""

from datetime import datetime

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import policy as policies
from flowlink.kernel.models import AuditRow, Event
from flowlink.notify.models import Mail
from flowlink.partners import ids, onboarding, queries, service as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from tests.factories import make_operator, make_partner


def user(session: Session, now: datetime, email: str = "ada@example.org") -> UserId:
    return UserId(identity.ensure_user(session, email=email, now=now).id)


def review(session: Session, now: datetime) -> None:
    policies.change(
        session, name="PARTNER_APPROVAL", value="review", actor="test", reason="test", now=now
    )


def join(session: Session, user_id: UserId, now: datetime) -> Partner:
    return partners.join(
        session,
        user_id=user_id,
        terms_version=partners.TERMS_VERSION,
        policy=policies.at(session, now),
        now=now,
    )


def test_joining_keeps_which_terms_and_when(session: Session, now: datetime) -> None:
    partner = join(session, user(session, now), now)

    assert (partner.status, partner.terms_version) == ("active", partners.TERMS_VERSION)
    assert partner.terms_accepted_at == now
    assert queries.email_of(session, PartnerId(partner.id)) == "ada@example.org"
    assert session.scalars(select(Event.name).where(Event.name == "partner.joined")).all() != []


def test_joining_again_changes_nothing(session: Session, now: datetime) -> None:
    ada = user(session, now)
    first = join(session, ada, now)

    assert join(session, ada, now).id == first.id

    names = session.scalars(select(Event.name).where(Event.name == "partner.joined")).all()
    assert len(names) == 1


def test_old_terms_are_refused(session: Session, now: datetime) -> None:
    ada = user(session, now)

    with pytest.raises(onboarding.OldTerms):
        partners.join(
            session,
            user_id=ada,
            terms_version="2019-01",
            policy=policies.at(session, now),
            now=now,
        )

    assert queries.of_user(session, ada) is None
    assert queries.active_of_user(session, ada) is None


def test_under_review_one_waits_until_a_person_decides(session: Session, now: datetime) -> None:
    review(session, now)
    partner = join(session, user(session, now), now)
    partner_id = PartnerId(partner.id)
    assert partner.status == "pending"
    assert queries.active_of_user(session, UserId(partner.user_id)) is None
    assert [each.partner_id for each in queries.applicants(session)] == [partner_id]

    partners.approve(session, partner_id=partner_id, actor="user:op", now=now)

    assert queries.active_of_user(session, UserId(partner.user_id)) == partner_id
    assert (partner.decided_by, partner.decided_at) == ("user:op", now)
    with pytest.raises(partners.AlreadyDecided):
        partners.decline(session, partner_id=partner_id, reason="x", actor="user:op", now=now)
    assert partner.status == "active"


def test_a_declined_application_keeps_its_reason(session: Session, now: datetime) -> None:
    review(session, now)
    partner = join(session, user(session, now), now)
    partner_id = PartnerId(partner.id)
    with pytest.raises(partners.ReasonMissing):
        partners.decline(session, partner_id=partner_id, reason=" ", actor="user:op", now=now)
    assert partner.status == "pending"

    partners.decline(session, partner_id=partner_id, reason="no site", actor="user:op", now=now)

    assert (partner.status, partner.decision_reason) == ("closed", "no site")
    with pytest.raises(partners.AlreadyDecided):
        partners.approve(session, partner_id=partner_id, actor="user:op", now=now)
    session.flush()
    audited = select(AuditRow.action).where(AuditRow.subject == ids.public(partner_id))
    assert session.scalars(audited).all() == ["declined partner"]
    templates = select(Mail.template).where(Mail.to_address == "ada@example.org")
    assert session.scalars(templates).all() == ["partners/email/declined"]


def test_the_command_line_lets_anybody_in(session: Session, now: datetime) -> None:
    review(session, now)
    waiting = user(session, now)
    join(session, waiting, now)

    partner = partners.ensure_active(session, user_id=waiting, now=now)
    again = partners.ensure_active(session, user_id=waiting, now=now)
    fresh = partners.ensure_active(session, user_id=user(session, now, "bob@example.org"), now=now)

    assert (partner.status, again.id, fresh.status) == ("active", partner.id, "active")
    assert fresh.terms_accepted_at == now


def test_who_is_no_partner_cannot_be_found(session: Session, now: datetime) -> None:
    nobody = make_operator(session)

    for ask in (queries.get, queries.email_of):
        with pytest.raises(queries.UnknownPartner):
            ask(session, nobody.partner_id)
    with pytest.raises(queries.UnknownPartner):
        partners.approve(session, partner_id=nobody.partner_id, actor="test", now=now)


def test_a_chosen_handle_is_shown_else_an_opaque_one(session: Session) -> None:
    ada = make_partner(session)
    partner = queries.get(session, ada.partner_id)
    session.refresh(partner)
    assert partner.shown_as.startswith("partner-")
    assert "@" not in partner.shown_as

    partners.choose_handle(session, partner_id=ada.partner_id, handle=" Ada_L ")
    assert partner.shown_as == "ada_l"
    partners.choose_handle(session, partner_id=ada.partner_id, handle="")

    assert partner.shown_as == partner.alias


@pytest.mark.parametrize("handle", ["ab", "a b c", "-ada", "ada-", "a" * 31, "ada@example.org"])
def test_a_bad_handle_is_refused(session: Session, handle: str) -> None:
    ada = make_partner(session)

    with pytest.raises(partners.BadHandle):
        partners.choose_handle(session, partner_id=ada.partner_id, handle=handle)

    assert queries.get(session, ada.partner_id).handle is None


@pytest.mark.parametrize("handle", ["admin", "Flowlink", "partner-1"])
def test_a_handle_that_could_be_somebody_elses_is_refused(session: Session, handle: str) -> None:
    ada = make_partner(session)

    with pytest.raises(partners.HandleReserved):
        partners.choose_handle(session, partner_id=ada.partner_id, handle=handle)

    assert queries.get(session, ada.partner_id).handle is None


def test_a_handle_belongs_to_one(session: Session) -> None:
    ada, bob = make_partner(session), make_partner(session)
    partners.choose_handle(session, partner_id=ada.partner_id, handle="ada")

    with pytest.raises(partners.HandleTaken):
        partners.choose_handle(session, partner_id=bob.partner_id, handle="ADA")
    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(update(Partner).where(Partner.id == bob.partner_id).values(handle="ada"))

    partners.choose_handle(session, partner_id=ada.partner_id, handle="ada")
