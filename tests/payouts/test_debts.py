"""A partner who owes us: what they asked for before waits until a person has looked at it."""

from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.identity.ids import actor_of
from flowlink.kernel.money import Money
from flowlink.payouts import debts, ids, run_queries, runs
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.run_queries import ToPay
from flowlink.tracking.models import Status
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.payouts.acts import approve, ask, hold, reject
from tests.payouts.makers import DAY, IBAN, assert_clean, change, earn
from tests.payouts.run_acts import propose, release, set_up

PAGE = {"accept": "text/html", "accept-language": "en"}


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


def asked(session: Session) -> tuple[Person, Withdrawal, object]:
    """A partner, what they have asked for and got approved, and the sale that it is from."""
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    return ada, ask(session, ada, "42.00", rail="bank", details=IBAN), sale


def in_debt(session: Session) -> tuple[Person, Withdrawal]:
    ada, withdrawal, sale = asked(session)
    change(session, sale, Status.REVERSED, "100.00")  # type: ignore[arg-type]
    assert balance(session, ada, "debt") == "-42.00 EUR"
    return ada, withdrawal


def allow(session: Session, withdrawal: Withdrawal, actor: str = "secret") -> None:
    debts.allow(session, withdrawal_id=WithdrawalId(withdrawal.id), actor=actor, now=DAY)


def test_no_run_takes_it_before_a_person_has_looked(session: Session) -> None:
    _, withdrawal = in_debt(session)

    with pytest.raises(runs.NothingToPay):
        propose(session)
    allow(session, withdrawal, actor_of(make_operator(session).user_id))
    run = propose(session)

    assert (run.item_count, withdrawal.state) == (1, State.IN_RUN)
    with pytest.raises(debts.NothingStopped):
        allow(session, withdrawal)
    assert_clean(session)


def test_a_debt_that_comes_later_leaves_it_out_of_the_run(session: Session) -> None:
    _, withdrawal, sale = asked(session)
    other = ask(session, make_partner(session, "50.00"), "20.00", rail="bank", details=IBAN)
    run = propose(session)
    change(session, sale, Status.REVERSED, "100.00")  # type: ignore[arg-type]

    shown = {item.withdrawal_id: item.debt for item in run_queries.items(session, run.id)}
    release(session, run, make_operator(session))

    assert shown == {withdrawal.id: Money.parse("42"), other.id: Money.zero()}
    assert (withdrawal.state, other.state) == (State.APPROVED, State.SENT)
    assert (run.item_count, run.total) == (1, Money.parse("20.00"))
    assert_clean(session)


def test_more_debt_than_was_looked_at_stops_it_again(session: Session) -> None:
    ada, withdrawal, sale = asked(session)
    change(session, sale, Status.APPROVED, "50.00")  # type: ignore[arg-type]
    allow(session, withdrawal)
    change(session, sale, Status.REVERSED, "50.00")  # type: ignore[arg-type]

    with pytest.raises(runs.NothingToPay):
        propose(session)

    reject(session, withdrawal)
    assert (balance(session, ada, "debt"), balance(session, ada, "available")) == (
        "0.00 EUR",
        "0.00 EUR",
    )
    assert_clean(session)


def test_who_approves_has_looked(session: Session) -> None:
    ada = make_partner(session, "900.00")
    withdrawal = ask(session, ada, "900.00", rail="bank", details=IBAN)
    sale = earn(session, ada, "100.00")
    ask(session, ada, "42.00")
    change(session, sale, Status.REVERSED, "100.00")

    approve(session, withdrawal)

    assert propose(session).item_count == 1


@pytest.mark.parametrize("why", ["debt", "hold"])
def test_what_is_stopped_does_not_count_as_waiting_for_a_run(session: Session, why: str) -> None:
    if why == "debt":
        in_debt(session)
    else:
        held, _, _ = asked(session)
        hold(session, held)
    asked(session)

    found = run_queries.to_pay(session)

    assert found[Rail.BANK] == ToPay(1, Money.parse("42.00"), stopped=1)
    assert found[Rail.PAYPAL] == ToPay(0, Money.zero(), stopped=0)


def test_the_page_of_runs_says_what_is_stopped(client: TestClient, session: Session) -> None:
    in_debt(session)
    sign_in(client, make_operator(session))

    page = client.get("/ops/payouts/runs", headers=PAGE).text

    assert "Nothing waits for a run." in page
    assert "One more is stopped by a hold or a debt." in page
    assert "Propose a run by bank transfer" not in page


def test_the_operator_sees_the_debt_and_decides(client: TestClient, session: Session) -> None:
    ada, withdrawal = in_debt(session)
    sign_in(client, make_operator(session))
    public = ids.public(WithdrawalId(withdrawal.id))

    inbox = client.get("/admin/inbox", headers=PAGE).text
    page = client.get("/ops/payouts/pending", headers=PAGE).text
    told = client.get("/ops/payouts/pending", headers={"accept": "application/json"}).json()
    allowed = client.post(f"/ops/payouts/{public}/allow", follow_redirects=False)

    assert all(
        word in page
        for word in (
            "Owes us €42.00",
            "This partner owes us €42.00.</p>",
            "Pay all the same",
            "Reject",
        )
    )
    assert told["withdrawals"][0]["debt"]["amount"] == "42.00"
    assert allowed.status_code == 303
    assert ada.email in inbox
    assert ada.email not in client.get("/admin/inbox", headers=PAGE).text
    after = client.get("/ops/payouts/pending", headers=PAGE).text
    assert "Owes us €42.00" in after
    assert "Pay all the same" not in after
    assert propose(session).item_count == 1
    shown = client.get("/ops/payouts/runs", headers=PAGE)
    assert shown.status_code == 200
