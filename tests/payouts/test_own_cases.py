"""Whoever earns does not decide what they get, also where they are an operator besides."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.ids import actor_of
from flowlink.identity.models import Role
from flowlink.kernel import clock, ids
from flowlink.kernel.money import Money
from flowlink.payouts import cases
from flowlink.payouts.cases import Claim
from flowlink.payouts.ids import CASE
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.payouts.makers import DAY, assert_clean


def test_nobody_accepts_their_own_case(session: Session) -> None:
    ada, bob = make_partner(session), make_operator(session)
    claim = Claim(story="order 7", amount=Money.parse("150"), happened_on=DAY.date())
    case = cases.open_case(session, partner_id=ada.partner_id, claim=claim, trail={}, now=DAY)

    def accept(by: Person) -> None:
        cases.accept(
            session,
            case_id=case.id,
            amount=Money.parse("150"),
            answer="yes",
            actor=actor_of(by.user_id),
            person=by.user_id,
            now=DAY,
        )

    with pytest.raises(cases.OwnCase):
        accept(ada)
    assert (case.state, balance(session, ada, "available")) == ("open", "0.00 EUR")
    accept(bob)
    assert balance(session, ada, "available") == "150.00 EUR"
    assert_clean(session)


def test_the_console_knows_who_accepts(client: TestClient, session: Session) -> None:
    ada = make_partner(session)
    identity.set_staff(
        session, user_id=ada.user_id, role=Role.OPERATOR, actor="test", now=clock.now()
    )
    claim = Claim(story="order 7", amount=Money.parse("150"), happened_on=DAY.date())
    case = cases.open_case(session, partner_id=ada.partner_id, claim=claim, trail={}, now=DAY)
    sign_in(client, ada)

    path = f"/admin/cases/{ids.public(CASE, case.id)}/accept"
    answer = client.post(path, data={"amount": "150", "answer": "yes"})

    assert answer.status_code == 403
    assert balance(session, ada, "available") == "0.00 EUR"
