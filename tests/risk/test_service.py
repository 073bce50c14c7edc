"""Holds: placed once, told, lifted by a person with a reason, and always under one lock."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.errors import NotFound
from flowlink.kernel.models import AuditRow, Event
from flowlink.notify import rendering
from flowlink.notify.models import Mail
from flowlink.partners import ids as partner_ids
from flowlink.partners.ids import PartnerId
from flowlink.risk import queries, service as risk, verdicts
from flowlink.risk.models import Flag, Hold
from tests.factories import Person, make_operator, make_partner


def place(session: Session, person: Person, now: datetime, flag: Flag = Flag.HOLD) -> Hold:
    return risk.place_hold(
        session,
        partner_id=person.partner_id,
        flag=flag,
        reason="52 clicks in 10 minutes",
        evidence={"clicks": 52, "addresses": 1},
        actor="job:risk_sweep",
        now=now,
        policy=policies.at(session, now),
    )


def text_of_mail(session: Session, person: Person) -> str:
    (mail,) = session.scalars(select(Mail).where(Mail.to_address == person.email))
    return rendering.content_of(template=mail.template, lang="fr", context=mail.context or {}).text


def lift(session: Session, person: Person, now: datetime, reason: str = "viral") -> None:
    risk.lift_hold(session, partner_id=person.partner_id, reason=reason, actor="test", now=now)


def test_a_hold_keeps_what_it_rests_on(session: Session, now: datetime) -> None:
    ada = make_partner(session)

    place(session, ada, now)

    binding = risk.lock_hold(session, partner_id=ada.partner_id)
    assert binding is not None
    assert binding.evidence == {"clicks": 52, "addresses": 1}
    assert binding.deadline == now + timedelta(days=30)
    (shown,) = [each for each in queries.open_holds(session, now=now) if each.email == ada.email]
    assert (shown.flag, shown.overdue) == (Flag.HOLD, False)
    (late,) = [
        each
        for each in queries.open_holds(session, now=now + timedelta(days=31))
        if each.email == ada.email
    ]
    assert late.overdue
    assert [hold.id for hold in queries.holds_of(session, ada.partner_id)] == [binding.id]


def test_the_partner_is_told_the_reason(session: Session, now: datetime) -> None:
    ada = make_partner(session)

    place(session, ada, now)
    lift(session, ada, now)

    mails = session.scalars(select(Mail).where(Mail.to_address == ada.email).order_by(Mail.id))
    told = [(mail.template, (mail.context or {})["reason"]) for mail in mails]
    assert told == [
        ("risk/email/hold_placed", "52 clicks in 10 minutes"),
        ("risk/email/hold_lifted", "viral"),
    ]


def test_of_what_a_rule_saw_the_mail_says_one_address_and_own_clicks_in_french(
    session: Session, now: datetime
) -> None:
    ada, bob = make_partner(session), make_partner(session)
    one = {"rule": "velocity", "limit": 40, "clicks": 52, "ip_hashes": 1}
    for who, facts in ((ada, one), (bob, {"rule": "own", "valid": 27, "of_partner": 40})):
        risk.place_hold(
            session,
            partner_id=who.partner_id,
            reason="27 of 40 clicks came from where you sign in yourself.",
            evidence=facts,
            actor="test",
            now=now,
            policy=policies.at(session, now),
        )

    assert "depuis une seule adresse" in text_of_mail(session, ada)
    assert "27 clics sur vos liens viennent de là" in text_of_mail(session, bob)
    assert "came from" not in text_of_mail(session, bob)


def test_who_is_banned_is_not_told_that_all_is_open_again(session: Session, now: datetime) -> None:
    ada = make_partner(session)
    verdicts.ban(
        session,
        partner_id=ada.partner_id,
        reason="a farm of bots",
        evidence={},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )

    lift(session, ada, now)

    mails = select(Mail.template).where(Mail.to_address == ada.email)
    assert "risk/email/hold_lifted" not in session.scalars(mails).all()


def test_placing_again_changes_nothing(session: Session, now: datetime) -> None:
    ada = make_partner(session)
    first = place(session, ada, now)

    again = place(session, ada, now + timedelta(minutes=10))

    assert again.id == first.id
    assert again.created_at == now
    assert place(session, ada, now, Flag.FRAUD).id != first.id
    assert len(queries.holds_of(session, ada.partner_id)) == 2


def test_one_open_hold_of_a_flag_is_a_constraint(session: Session, now: datetime) -> None:
    ada = make_partner(session)
    hold = place(session, ada, now)
    twin = {
        "partner_id": ada.partner_id,
        "flag": Flag.HOLD,
        "reason": "x",
        "evidence": {},
        "placed_by": "test",
        "created_at": now,
        "deadline": hold.deadline,
    }

    with pytest.raises(IntegrityError), session.begin_nested():
        session.execute(insert(Hold).values(twin))

    assert queries.open_count(session) == 1


def test_a_lifted_hold_binds_no_more(session: Session, now: datetime) -> None:
    ada = make_partner(session)
    place(session, ada, now)
    place(session, ada, now, Flag.DMCA)
    assert queries.cleared_at(session, ada.partner_id) is None

    lift(session, ada, now + timedelta(hours=1))

    assert risk.lock_hold(session, partner_id=ada.partner_id) is None
    assert queries.cleared_at(session, ada.partner_id) == now + timedelta(hours=1)
    assert queries.holds_of(session, ada.partner_id) == []
    place(session, ada, now + timedelta(hours=2))
    assert risk.lock_hold(session, partner_id=ada.partner_id) is not None


@pytest.mark.parametrize("reason", ["", "  "])
def test_both_ways_want_a_reason(session: Session, now: datetime, reason: str) -> None:
    ada = make_partner(session)
    with pytest.raises(risk.ReasonMissing):
        risk.place_hold(
            session,
            partner_id=ada.partner_id,
            reason=reason,
            evidence={},
            actor="test",
            now=now,
            policy=policies.at(session, now),
        )
    assert queries.holds_of(session, ada.partner_id) == []
    place(session, ada, now)

    with pytest.raises(risk.ReasonMissing):
        lift(session, ada, now, reason)

    assert len(queries.holds_of(session, ada.partner_id)) == 1


def test_what_is_not_there_cannot_be_lifted(session: Session, now: datetime) -> None:
    ada = make_partner(session)
    nobody = make_operator(session)

    with pytest.raises(risk.NotOnHold):
        lift(session, ada, now)
    with pytest.raises(NotFound):
        lift(session, nobody, now)
    with pytest.raises(NotFound):
        place(session, nobody, now)

    assert queries.open_count(session) == 0


def test_each_decision_is_an_event_and_an_audit_line(session: Session, now: datetime) -> None:
    ada = make_partner(session)

    hold = place(session, ada, now)
    lift(session, ada, now)

    session.flush()
    payload = {"hold_id": str(hold.id), "partner_id": str(ada.partner_id)}
    told = session.scalars(select(Event).where(Event.name.like("hold.%")).order_by(Event.id))
    assert [(event.name, event.payload) for event in told] == [
        ("hold.placed", payload),
        ("hold.lifted", payload),
    ]
    lines = select(AuditRow).where(AuditRow.subject == partner_ids.public(ada.partner_id))
    audited = session.scalars(lines.order_by(AuditRow.id)).all()
    assert [(line.actor, line.action) for line in audited] == [
        ("job:risk_sweep", "placed hold"),
        ("test", "lifted hold"),
    ]


def test_many_are_locked_at_once(session: Session, now: datetime) -> None:
    ada, bob = make_partner(session), make_partner(session)
    place(session, bob, now)

    found = risk.lock_holds(session, partner_ids=[bob.partner_id, ada.partner_id])

    assert list(found) == [bob.partner_id]
    assert risk.lock_holds(session, partner_ids=list[PartnerId]()) == {}
