"""What people say of payments: never while a provider that was not answered may have paid."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.payouts import ids
from flowlink.payouts.models import Rail, Withdrawal
from flowlink.payouts.run_models import Run
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.payouts.acts import ask
from tests.payouts.makers import DAY, IBAN, assert_clean
from tests.payouts.run_acts import propose, release, set_up

ACTS = {
    "/ops/payouts/{}/fail": {"reason": "no answer"},
    "/ops/payouts/{}/return": {"reason": "no answer"},
    "/admin/pay?id={}": {"reference": "VIR-1"},
}
acts = pytest.mark.parametrize("path", list(ACTS))


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


def sent(session: Session, rail: Rail) -> tuple[Person, Withdrawal, Run]:
    """A withdrawal of 20.00 in a released run that nobody has answered yet."""
    ada = make_partner(session, available="50.00")
    details = IBAN if rail == Rail.BANK else "ada@example.org"
    withdrawal = ask(session, ada, rail=rail, details=details, now=DAY)
    run = propose(session, rail)
    release(session, run, make_operator(session))
    return ada, withdrawal, run


def act(client: TestClient, path: str, withdrawal: Withdrawal) -> int:
    where = path.format(ids.public(ids.WithdrawalId(withdrawal.id)))
    return client.post(where, data=ACTS[path], follow_redirects=False).status_code


@acts
def test_nothing_is_decided_while_paypal_is_asked(
    client: TestClient, session: Session, path: str
) -> None:
    ada, withdrawal, run = sent(session, Rail.PAYPAL)
    sign_in(client, make_operator(session))

    assert act(client, path, withdrawal) in {400, 409}
    session.refresh(withdrawal)
    assert (withdrawal.state, balance(session, ada, "withdrawing")) == ("sent", "20.00 EUR")

    run.next_try_at = None  # 25 days later, or refused: a person has to decide
    session.flush()
    assert act(client, path, withdrawal) == 303
    assert_clean(session)


@acts
def test_what_a_bank_was_sent_is_decided_by_people(
    client: TestClient, session: Session, path: str
) -> None:
    _, withdrawal, _ = sent(session, Rail.BANK)
    sign_in(client, make_operator(session))

    assert act(client, path, withdrawal) == 303
