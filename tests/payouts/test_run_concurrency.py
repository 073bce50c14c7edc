"""Runs under fire, in real threads: nobody on hold leaves, nothing is released or paid twice."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.ids import actor_of
from flowlink.kernel import db, inbound
from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.inbound import ProviderEvent
from flowlink.payouts import bank_answers, outcomes, paypal_runs, runs, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.outcomes import Word
from flowlink.payouts.run_models import BankFile, Run, RunItem
from tests.factories import Person, make_operator
from tests.payouts.acts import ask, hold
from tests.payouts.bank_says import Booking, statement
from tests.payouts.makers import DAY, IBAN
from tests.payouts.run_acts import Teller, propose, release, set_up
from tests.payouts.test_concurrency import at_once, clean, has, partner, while_open

pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture(autouse=True)
def both_rails(database: None) -> Iterator[None]:
    with set_up():
        yield


def to_bank(person: Person) -> WithdrawalId:
    with db.write() as session:
        return WithdrawalId(ask(session, person, rail="bank", details=IBAN).id)


def state_of(withdrawal_id: WithdrawalId) -> str:
    with db.read() as session:
        return str(session.get_one(Withdrawal, withdrawal_id).state)


def proposed() -> Run:
    with db.write() as session:
        return propose(session)


def operator() -> Person:
    with db.write() as session:
        return make_operator(session)


def test_of_fifty_withdrawals_with_money_for_one_exactly_one_succeeds() -> None:
    ada = partner(available="20.00")

    ended = at_once(50, lambda session: ask(session, ada))

    assert ended == {"done": 1, "AboveAvailable": 49}
    assert (has(ada, "available"), has(ada, "withdrawing")) == ("0.00 EUR", "20.00 EUR")
    clean()


def test_a_run_that_is_made_waits_for_a_hold_that_is_being_placed() -> None:
    held, free = partner(available="50.00"), partner(available="50.00")
    inside, other = to_bank(held), to_bank(free)

    ended = while_open(lambda session: hold(session, held), propose)

    assert ended == "done"
    assert (state_of(inside), state_of(other)) == ("approved", "in_run")


def test_a_release_waits_for_a_hold_that_is_being_placed() -> None:
    held, free = partner(available="50.00"), partner(available="50.00")
    inside, other = to_bank(held), to_bank(free)
    run, grace = proposed(), operator()

    ended = while_open(
        lambda session: hold(session, held), lambda session: release(session, run, grace)
    )

    assert ended == "done"
    assert (state_of(inside), state_of(other)) == ("approved", "sent")
    clean()


def test_a_hold_waits_for_a_run_that_is_being_made_and_then_empties_it() -> None:
    held = partner(available="50.00")
    inside = to_bank(held)

    ended = while_open(propose, lambda session: hold(session, held))
    with db.write() as session:
        runs.leave_out(session, partner_id=held.partner_id, actor="hold", now=DAY)

    assert (ended, state_of(inside)) == ("done", "approved")


def test_two_runs_made_at_once_share_no_withdrawal() -> None:
    for _ in range(5):
        to_bank(partner(available="50.00"))

    ended = at_once(4, propose)

    assert ended == {"done": 1, "NothingToPay": 3}
    with db.read() as session:
        assert len(session.scalars(select(RunItem)).all()) == 5


def test_a_run_released_many_times_at_once_is_released_once() -> None:
    inside = to_bank(partner(available="50.00"))
    run, grace = proposed(), operator()

    ended = at_once(6, lambda session: release(session, run, grace))

    assert ended == {"done": 1, "RunClosed": 5}
    assert state_of(inside) == "sent"


def test_released_and_cancelled_at_once_is_one_of_both() -> None:
    inside = to_bank(partner(available="50.00"))
    run, grace = proposed(), operator()
    acts = iter([release, None, release, None])

    def act(session: Session) -> None:
        if next(acts) is None:
            runs.cancel(session, run_id=run.id, actor="secret", now=DAY)
        else:
            release(session, run, grace)

    ended = at_once(4, act)

    assert (ended["done"], ended["RunClosed"]) == (1, 3)
    assert state_of(inside) in {"sent", "approved"}


def test_proposed_and_paid_by_hand_at_once_is_one_of_both() -> None:
    ada = partner(available="50.00")
    inside = to_bank(ada)

    ended = while_open(
        lambda session: withdrawals.mark_paid(
            session, withdrawal_id=inside, reference="BY HAND", actor="secret", now=DAY
        ),
        propose,
    )

    assert (ended, state_of(inside)) == ("NothingToPay", "settled")
    clean()


def test_the_same_answer_many_times_at_once_moves_money_once() -> None:
    ada = partner(available="50.00")
    inside = to_bank(ada)
    with db.write() as session:
        run = propose(session)
        release(session, run, make_operator(session))
        name = session.scalars(select(RunItem.end_to_end_id)).one()
    word = Word(name, State.SETTLED, says="DBIT", reference="R1")

    def apply(session: Session) -> None:
        outcomes.apply(session, words=[word], actor="bank", now=DAY)

    assert at_once(8, apply) == {"done": 8}

    assert (state_of(inside), has(ada, "withdrawing")) == ("settled", "0.00 EUR")
    clean()


def test_the_same_file_many_times_at_once_is_kept_once() -> None:
    to_bank(partner(available="50.00"))
    with db.write() as session:
        release(session, propose(session), make_operator(session))
        body = statement(Booking(session.scalars(select(RunItem.end_to_end_id)).one()))

    def take(session: Session) -> None:
        bank_answers.take_in(session, body=body, name="b", actor="secret", now=DAY)

    assert at_once(6, take) == {"done": 6}

    with db.read() as session:
        assert len(session.scalars(select(BankFile)).all()) == 1
    clean()


def test_answers_in_opposite_orders_do_not_wait_for_each_other_for_ever() -> None:
    for _ in range(12):
        to_bank(partner(available="50.00"))
    with db.write() as session:
        release(session, propose(session), make_operator(session))
        names = list(session.scalars(select(RunItem.end_to_end_id)))
    words = [Word(name, State.SETTLED, says="DBIT", reference="R") for name in names]
    turns = iter([words, words[::-1]] * 3)

    ended = at_once(
        6, lambda session: outcomes.apply(session, words=next(turns), actor="bank", now=DAY)
    )

    assert ended == {"done": 6}
    clean()


def test_an_approver_is_never_the_requester(database: str) -> None:
    ada = partner(available="500.00")
    with db.write() as session:
        key = WithdrawalId(ask(session, ada, "300.00", rail="bank", details=IBAN).id)

    with pytest.raises(FlowlinkError), db.write() as session:
        withdrawals.approve(
            session,
            withdrawal_id=key,
            actor=actor_of(ada.user_id),
            person=ada.user_id,
            now=DAY,
        )

    assert state_of(key) == "requested"


def test_an_event_handled_by_many_at_once_is_handled_once() -> None:
    ada = partner(available="50.00")
    with db.write() as session:
        inside = WithdrawalId(ask(session, ada).id)
        run = release(session, propose(session, Rail.PAYPAL), make_operator(session))
        name = session.scalars(select(RunItem.end_to_end_id)).one()
        resource = {"payout_item_id": name}
        body = json.dumps({"resource": resource}).encode()
        kind = "PAYMENT.PAYOUTS-ITEM.SUCCEEDED"
        inbound.keep(session, provider="paypal", event_id="WH", kind=kind, body=body, now=DAY)
        key = session.scalars(select(ProviderEvent.id)).one()
    teller = Teller(run)
    teller.says[name] = "SUCCESS"

    with ThreadPoolExecutor(6) as pool:
        together = threading.Barrier(6)

        def handle(_: int) -> None:
            together.wait()
            paypal_runs.handle(teller, event_key=key, now=DAY)

        list(pool.map(handle, range(6)))

    with db.read() as session:
        assert session.get_one(ProviderEvent, key).outcome == "applied"
    assert state_of(inside) == "settled"
    clean()


def test_a_run_driven_by_many_at_once_is_one_batch() -> None:
    ada = partner(available="50.00")
    with db.write() as session:
        inside = WithdrawalId(ask(session, ada).id)
        run = release(session, propose(session, Rail.PAYPAL), make_operator(session))
        name = session.scalars(select(RunItem.end_to_end_id)).one()
    teller = Teller(run)
    teller.says[name] = "SUCCESS"

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda _: paypal_runs.drive(teller, run_id=run.id, now=DAY), range(6)))

    assert len(set(teller.created)) == 1
    assert (state_of(inside), has(ada, "withdrawing")) == ("settled", "0.00 EUR")
    clean()
