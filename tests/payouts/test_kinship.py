"""Partners who are one person are watched, each once, until a person has looked."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.payouts import kinship, methods
from flowlink.risk import watches
from flowlink.risk.watch_models import Rule, Watch
from flowlink.tracking import service as tracking
from flowlink.tracking.arrival_models import Arrival
from tests.factories import Person, make_partner, make_person, sign_in
from tests.tracking.makers import make_shop

IBAN = "FR7630006000011234567890189"


def with_method(session: Session, now: datetime) -> Person:
    person = make_partner(session)
    numbers = policies.at(session, now)
    methods.keep(
        session,
        partner_id=person.partner_id,
        rail="bank",
        details=IBAN,
        policy=numbers,
        now=now,
    )
    return person


def report(session: Session, now: datetime) -> int:
    return kinship.report(session, now=now, policy=policies.at(session, now))


def test_the_same_payout_details_are_noticed(session: Session, now: datetime) -> None:
    pair = [with_method(session, now), with_method(session, now)]
    make_partner(session)

    assert report(session, now) == 2

    found = session.scalars(select(Watch)).all()
    assert {watch.partner_id for watch in found} == {person.partner_id for person in pair}
    assert {watch.rule for watch in found} == {Rule.ACCOUNT}
    assert all(len(watch.evidence["partners"]) == 2 for watch in found)
    assert IBAN not in str([watch.evidence for watch in found])


@pytest.mark.parametrize(
    ("one", "two", "told"),
    [
        ("ada+x@example.org", "ada@example.org", 2),
        ("a.d.a@gmail.com", "ada@googlemail.com", 2),
        ("a.da@example.org", "ada@example.org", 0),
    ],
)
def test_one_mailbox_under_several_names(
    session: Session, now: datetime, one: str, two: str, told: int
) -> None:
    for email in (one, two):
        make_partner(session, email=email)

    assert report(session, now) == told


def test_what_was_cleared_is_not_brought_up_again(session: Session, now: datetime) -> None:
    with_method(session, now)
    with_method(session, now)
    report(session, now)
    for watch in session.scalars(select(Watch)).all():
        watches.decide(
            session, watch_id=watch.id, fraud=False, reason="family", actor="test", now=now
        )

    assert report(session, now) == 0


@pytest.mark.parametrize(
    ("partner", "customer", "fact"),
    [
        ("ada@lovelace.example", "ada+team@lovelace.example", "own customer"),
        ("ada@lovelace.example", "bob@lovelace.example", "company"),
        ("ada@gmail.com", "bob@gmail.com", None),
        ("ada@lovelace.example", "bob@babbage.example", None),
    ],
)
def test_who_brought_themselves_is_noticed(
    session: Session, now: datetime, partner: str, customer: str, fact: str | None
) -> None:
    ada, bob = make_partner(session, email=partner), make_person(session, email=customer)
    make_shop(session, now=now)
    link = tracking.create_link(session, partner_id=ada.partner_id, now=now)
    session.add(
        Arrival(
            user_id=bob.user_id, click_id=7, link_id=link.id, token="t", clicked_at=now, kept_at=now
        )
    )
    session.flush()

    report(session, now)

    found = [
        (watch.partner_id, watch.evidence["shared"]) for watch in session.scalars(select(Watch))
    ]
    assert found == ([(ada.partner_id, fact)] if fact else [])


@pytest.mark.parametrize(
    ("fact", "said"),
    [("mailbox", "same mailbox"), ("company", "your company"), ("payout details", "payout")],
)
def test_the_partner_reads_what_is_shared(
    client: TestClient, session: Session, now: datetime, fact: str, said: str
) -> None:
    ada = sign_in(client, make_partner(session))
    watches.report(
        session,
        partner_id=ada.partner_id,
        evidence={"rule": "account", "shared": fact},
        score=60,
        now=now,
        policy=policies.at(session, now),
    )

    page = client.get("/partner/portal", headers={"accept-language": "en"}).text

    assert said in page.partition("We look at your account")[2].partition("A person")[0]
