"""What keeps a withdrawal from being decided is said where it would be decided."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import clock
from flowlink.payouts import runs
from flowlink.payouts.models import Rail
from tests.factories import make_operator, make_partner, sign_in
from tests.payouts.acts import ask, hold
from tests.payouts.makers import IBAN
from tests.payouts.run_acts import propose, release, set_up

PAGE = {"accept": "text/html", "accept-language": "en"}


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


def test_what_paypal_is_asked_about_is_not_offered_for_deciding(
    client: TestClient, session: Session
) -> None:
    ask(session, make_partner(session, available="50.00"))
    run = release(session, propose(session, Rail.PAYPAL), make_operator(session))
    session.flush()
    sign_in(client, make_operator(session))

    asked = client.get("/ops/payouts/pending", headers=PAGE).text
    run.next_try_at = None  # PayPal has refused, or not answered for too long
    session.flush()
    left = client.get("/ops/payouts/pending", headers=PAGE).text

    assert ("PayPal is asked about it" in asked, "Mark as paid" in asked) == (True, False)
    assert ("PayPal is asked about it" in left, "Mark as paid" in left) == (False, True)


def test_a_hold_stands_with_what_it_stops(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="50.00")
    ask(session, ada, rail="bank", details=IBAN)
    hold(session, ada)
    sign_in(client, make_operator(session))

    page = client.get("/ops/payouts/pending", headers=PAGE).text

    assert "On hold</span>" in page
    assert "Mark as paid" not in page
    assert "Reject" in page


def test_a_run_names_the_people_behind_it(client: TestClient, session: Session) -> None:
    ask(session, make_partner(session, available="50.00"), rail="bank", details=IBAN)
    maker, releaser = make_operator(session), make_operator(session)
    now = clock.now()
    run = release(session, propose(session, by=maker, now=now), releaser, now=now)
    session.flush()
    sign_in(client, make_operator(session))

    page = client.get(f"/ops/payouts/runs/{runs.public(run.id)}", headers=PAGE).text

    assert maker.email in page
    assert releaser.email in page
