"""Money that PayPal holds for a partner: they read what to do, until it is claimed."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.payouts import ids, outcomes
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import Rail, State
from flowlink.payouts.outcomes import Word
from tests.factories import make_operator, make_partner, sign_in
from tests.payouts.acts import ask
from tests.payouts.makers import DAY
from tests.payouts.run_acts import item_of, propose, release, set_up


@pytest.fixture(autouse=True)
def paypal_is_set_up() -> Iterator[None]:
    with set_up():
        yield


@pytest.mark.parametrize(
    ("answer", "lang", "told"),
    [
        ("UNCLAIMED", "en", "PayPal holds this money for you"),
        ("UNCLAIMED", "fr", "PayPal garde cet argent pour vous"),
        ("ONHOLD", "en", "PayPal is checking this payment"),
        ("ONHOLD", "fr", "PayPal vérifie ce paiement"),
    ],
)
def test_a_partner_reads_what_paypal_waits_for(
    client: TestClient, session: Session, answer: str, lang: str, told: str
) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada)
    release(session, propose(session, Rail.PAYPAL), make_operator(session))
    session.flush()
    name = item_of(session, withdrawal).end_to_end_id
    sign_in(client, ada)
    page = f"/partners/trail/{ids.public(WithdrawalId(withdrawal.id))}?lang={lang}"
    before = client.get(page).text

    outcomes.apply(session, words=[Word(name, None, says=answer)], actor="paypal", now=DAY)
    session.flush()
    meanwhile = client.get(page).text
    outcomes.apply(
        session,
        words=[Word(name, State.SETTLED, says="SUCCESS", reference="T1")],
        actor="paypal",
        now=DAY,
    )
    session.flush()
    after = client.get(page).text

    assert [told in text for text in (before, meanwhile, after)] == [False, True, False]
