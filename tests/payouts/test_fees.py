"""What PayPal keeps for a payout: booked once, with the payment, and shown."""

from collections.abc import Iterator
from threading import Barrier, Thread

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flowlink.kernel import clock, db
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.accounts import AccountKind, account
from flowlink.payouts import check, outcomes, paypal, paypal_runs, runs
from flowlink.payouts.fakepay.server import FakePay
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.outcomes import Word
from flowlink.payouts.run_models import Run, RunItem
from tests.factories import balance, free_port, make_operator, make_partner, sign_in
from tests.payouts.acts import ask
from tests.payouts.chaos import serving
from tests.payouts.makers import DAY, assert_clean
from tests.payouts.run_acts import item_of, propose, release, set_up

FEE = Money.parse("0.40")


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


def sent(session: Session) -> tuple[Run, Withdrawal]:
    withdrawal = ask(session, make_partner(session, available="50.00"))
    run = release(session, propose(session, Rail.PAYPAL), make_operator(session))
    session.flush()
    return run, withdrawal


def tell(
    session: Session, withdrawal: Withdrawal, state: State, fee: Money | None = None
) -> RunItem:
    item = item_of(session, withdrawal)
    says = "SUCCESS" if state == State.SETTLED else "REFUNDED"
    word = Word(item.end_to_end_id, state, says=says, reference="T1", reason="back", fee=fee)
    outcomes.apply(session, words=[word], actor="paypal", now=DAY)
    session.flush()
    return item


def spent(session: Session, currency: str = "EUR") -> Money:
    fees = account(AccountKind.PROVIDER_FEES, currency=currency)
    return ledger.balance(session, fees)


def test_a_fee_is_booked_once_with_the_payment(session: Session) -> None:
    _, withdrawal = sent(session)

    for _ in range(3):
        item = tell(session, withdrawal, State.SETTLED, FEE)

    assert (Money(item.fee_micro), spent(session)) == (FEE, -FEE)
    assert_clean(session)


def test_a_fee_that_is_told_later_is_booked_then(session: Session) -> None:
    _, withdrawal = sent(session)

    tell(session, withdrawal, State.SETTLED)
    assert spent(session) == Money.zero()
    tell(session, withdrawal, State.SETTLED, FEE)

    assert spent(session) == -FEE
    assert_clean(session)


def test_a_payment_that_comes_back_does_not_bring_its_fee(session: Session) -> None:
    _, withdrawal = sent(session)

    tell(session, withdrawal, State.SETTLED, FEE)
    tell(session, withdrawal, State.RETURNED, FEE)

    assert (withdrawal.state, spent(session)) == ("returned", -FEE)
    assert_clean(session)


def test_nothing_is_booked_for_what_was_not_paid(session: Session) -> None:
    _, withdrawal = sent(session)

    tell(session, withdrawal, State.RETURNED, FEE)

    assert spent(session) == Money.zero()


def test_a_fee_in_another_currency_is_left_to_a_person(session: Session) -> None:
    _, withdrawal = sent(session)

    item = tell(session, withdrawal, State.SETTLED, Money.parse("0.35", "USD"))

    assert (withdrawal.state, item.fee_micro) == ("settled", 0)
    assert "0.35 USD is not booked" in item.trouble
    assert_clean(session)


def test_two_answers_at_once_book_one_fee(database: str) -> None:
    with set_up(), db.write() as session:
        _, withdrawal = sent(session)
    start = Barrier(4)

    def say() -> None:
        start.wait()
        with db.write() as session:
            tell(session, session.get_one(Withdrawal, withdrawal.id), State.SETTLED, FEE)

    threads = [Thread(target=say) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with db.read() as session:
        assert spent(session) == -FEE
        assert_clean(session)


def test_a_fee_that_no_entry_stands_for_is_found(session: Session) -> None:
    _, withdrawal = sent(session)
    tell(session, withdrawal, State.SETTLED, FEE)

    session.execute(text("UPDATE payouts_run_item SET fee_micro = fee_micro + 1"))

    name = item_of(session, withdrawal).end_to_end_id
    assert any(f"fee:{name} differs" in problem for problem in check.problems(session))


def test_what_paypal_says_over_the_wire_stands_on_the_runs_page(
    client: TestClient, session: Session
) -> None:
    fake, port = FakePay(), free_port()
    with serving(fake, port), set_up(paypal_url=f"http://127.0.0.1:{port}"):
        run, withdrawal = sent(session)
        paypal_runs.drive(paypal.configured(), run_id=run.id, now=DAY)
        fake.ledger.advance(clock.now())
        paypal_runs.drive(paypal.configured(), run_id=run.id, now=DAY)
    session.expire_all()
    sign_in(client, make_operator(session))
    path = f"/ops/payouts/runs/{runs.public(run.id)}"

    page = client.get(path, headers={"accept-language": "en", "accept": "text/html"}).text
    told = client.get(path, headers={"accept": "application/json"}).json()
    rows = client.get(f"{path}?format=csv").text

    assert withdrawal.state == "settled"
    assert page.count("€0.40") == 2
    assert (told["fees"]["amount"], told["items"][0]["fee"]["amount"]) == ("0.40", "0.40")
    assert rows.splitlines()[1].endswith(",0.40")
    assert "fees" in client.get("/ops/payouts/runs?format=csv").text.splitlines()[0]
    assert_clean(session)


def test_a_partner_pays_no_fee(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada)
    release(session, propose(session, Rail.PAYPAL), make_operator(session))
    session.flush()

    tell(session, withdrawal, State.SETTLED, FEE)

    assert balance(session, ada, "available") == "30.00 EUR"
    assert session.scalars(select(RunItem.amount_minor)).one() == 2000
