"""Many at once, in real threads: what there is once is given once, and every lock is needed."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.identity.ids import actor_of
from flowlink.kernel import db, policy as policies
from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.money import Money
from flowlink.payouts import commissions, queries, reserve, service as payouts, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.risk import service as risk
from flowlink.tracking.models import Status
from tests.factories import Person, balance, make_operator, make_partner
from tests.patience import LONG_S
from tests.payouts.acts import hold
from tests.payouts.makers import DAY, assert_clean, become, convert, earn

pytestmark = pytest.mark.usefixtures("database")


def partner(available: str = "0.00") -> Person:
    """A partner whose row to lock is there already: its first insertion would be a lock, too."""
    with db.write() as session:
        person = make_partner(session, available=available)
        risk.lock_hold(session, partner_id=person.partner_id)
    return person


def has(person: Person, kind: str) -> str:
    with db.read() as session:
        return balance(session, person, kind)


def clean() -> None:
    with db.write() as session:
        assert_clean(session)


def ask(session: Session, person: Person, amount: str = "20.00") -> WithdrawalId:
    withdrawal = payouts.request_withdrawal(
        session,
        partner_id=person.partner_id,
        amount=Money.parse(amount),
        rail="paypal",
        details="ada@example.org",
        policy=policies.at(session, DAY),
        now=DAY,
    )
    return WithdrawalId(withdrawal.id)


def at_once(count: int, act: Callable[[Session], object]) -> Counter[str]:
    """Do `act` in so many threads from one start; how often each outcome came, by name."""
    start = threading.Barrier(count)

    def one(_: int) -> str:
        start.wait()
        try:
            with db.write() as session:
                act(session)
        except FlowlinkError as refusal:
            return type(refusal).__name__
        return "done"

    with ThreadPoolExecutor(count) as pool:
        return Counter(pool.map(one, range(count)))


def wait_for_a_waiter(done: threading.Event) -> None:
    """Until somebody waits for a lock, or is through without waiting."""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    deadline = time.monotonic() + LONG_S
    while time.monotonic() < deadline and not done.is_set():
        with db.read() as session:
            if session.scalar(waiting):
                return
        done.wait(0.01)


def while_open(first: Callable[[Session], object], second: Callable[[Session], object]) -> str:
    """Do `second` while the transaction of `first` is still open; returns how it ended."""
    done, ended = threading.Event(), list[str]()

    def run() -> None:
        try:
            with db.write() as session:
                second(session)
            ended.append("done")
        except FlowlinkError as refusal:
            ended.append(type(refusal).__name__)
        finally:
            done.set()

    thread = threading.Thread(target=run)
    with db.write() as session:
        first(session)
        session.flush()
        thread.start()
        wait_for_a_waiter(done)
    thread.join(20)
    (outcome,) = ended
    return outcome


@pytest.mark.parametrize("count", [2, 20])
def test_of_many_withdrawals_with_money_for_one_exactly_one_succeeds(count: int) -> None:
    ada = partner(available="20.00")

    outcomes = at_once(count, lambda session: ask(session, ada))

    assert outcomes == {"done": 1, "AboveAvailable": count - 1}
    assert (has(ada, "available"), has(ada, "withdrawing")) == ("0.00 EUR", "20.00 EUR")
    clean()


def test_the_same_form_at_once_withdraws_once() -> None:
    ada = partner(available="50.00")
    made: list[UUID] = []

    def send(session: Session) -> None:
        withdrawal = payouts.request_withdrawal(
            session,
            partner_id=ada.partner_id,
            amount=Money.parse("20.00"),
            rail="paypal",
            details="ada@example.org",
            policy=policies.at(session, DAY),
            now=DAY,
            once="form-1",
        )
        made.append(withdrawal.id)

    assert at_once(5, send) == {"done": 5}

    assert len(set(made)) == 1
    assert has(ada, "available") == "30.00 EUR"


def test_approved_twice_at_once_is_approved_once() -> None:
    ada = partner(available="300.00")
    with db.write() as session:
        withdrawal_id = ask(session, ada, "250.00")
        operator = make_operator(session)

    def approve(session: Session) -> None:
        withdrawals.approve(
            session,
            withdrawal_id=withdrawal_id,
            actor=actor_of(operator.user_id),
            person=operator.user_id,
            now=DAY,
        )

    assert at_once(4, approve) == {"done": 1, "AlreadyApproved": 3}

    with db.read() as session:
        assert len(queries.steps(session, withdrawal_id)) == 2


def test_paid_twice_at_once_is_paid_once() -> None:
    ada = partner(available="50.00")
    with db.write() as session:
        withdrawal_id = ask(session, ada)

    def pay(session: Session) -> None:
        withdrawals.mark_paid(
            session, withdrawal_id=withdrawal_id, reference="PP-1", actor="secret", now=DAY
        )

    assert at_once(4, pay) == {"done": 1, "AlreadyPaid": 3}

    assert has(ada, "withdrawing") == "0.00 EUR"
    clean()


def test_paid_and_rejected_at_once_ends_in_one_way() -> None:
    ada = partner(available="50.00")
    with db.write() as session:
        withdrawal_id = ask(session, ada)
    acts: tuple[Callable[[Session], object], ...] = (
        lambda session: withdrawals.mark_paid(
            session, withdrawal_id=withdrawal_id, reference="PP-1", actor="secret", now=DAY
        ),
        lambda session: withdrawals.reject(
            session, withdrawal_id=withdrawal_id, reason="late", actor="secret", now=DAY
        ),
    )
    turns = iter(acts * 2)

    def act(session: Session) -> object:
        return next(turns)(session)

    outcomes = at_once(4, act)

    assert outcomes["done"] == 1
    clean()


def test_a_withdrawal_waits_for_a_hold_that_is_being_placed() -> None:
    ada = partner(available="50.00")

    ended = while_open(lambda session: hold(session, ada), lambda session: ask(session, ada))

    assert ended == "OnHold"

    assert has(ada, "available") == "50.00 EUR"


def test_an_approval_waits_for_a_hold_that_is_being_placed() -> None:
    ada = partner(available="300.00")
    with db.write() as session:
        withdrawal_id = ask(session, ada, "250.00")

    def approve(session: Session) -> None:
        withdrawals.approve(
            session, withdrawal_id=withdrawal_id, actor="secret", person=None, now=DAY
        )

    ended = while_open(lambda session: hold(session, ada), approve)

    assert ended == "PartnerOnHold"


def test_holds_and_withdrawals_at_once_leave_no_withdrawal_after_the_hold() -> None:
    ada = partner(available="500.00")
    acts: list[Callable[[Session, Person], object]] = [ask, hold, ask, ask, ask, ask]
    turns = iter(acts)

    outcomes = at_once(6, lambda session: next(turns)(session, ada))

    assert set(outcomes) <= {"done", "OnHold"}
    with db.read() as session:
        placed = session.scalar(text("SELECT min(id::text) FROM risk_hold"))
        newest = session.scalar(text("SELECT max(id::text) FROM payouts_withdrawal"))
    assert newest is None or newest < placed
    clean()


def test_a_reversal_waits_for_a_withdrawal_and_takes_what_is_left() -> None:
    ada = partner()
    with db.write() as session:
        sale = earn(session, ada, "100.00")
        become(session, sale, Status.REVERSED, "100.00")

    ended = while_open(
        lambda session: ask(session, ada, "40.00"),
        lambda session: commissions.post_revisions(session, now=DAY),
    )

    assert ended == "done"

    assert (has(ada, "available"), has(ada, "debt")) == ("0.00 EUR", "-40.00 EUR")
    clean()


def test_many_workers_post_every_revision_once() -> None:
    people = [partner() for _ in range(4)]
    with db.write() as session:
        for person in people * 5:
            sale = convert(session, person, "10.00", status=Status.PENDING)
            become(session, sale, Status.APPROVED, "10.00")

    outcomes = at_once(8, lambda session: commissions.post_revisions(session, now=DAY))

    assert outcomes == {"done": 8}
    assert [has(person, "available") for person in people] == ["21.00 EUR"] * 4
    clean()


def test_many_workers_release_every_lot_once() -> None:
    people = [partner() for _ in range(4)]
    with db.write() as session:
        for person in people:
            earn(session, person, "100.00")
            earn(session, person, "10.00", at=DAY + timedelta(days=1))
    later = DAY + timedelta(days=60)

    outcomes = at_once(8, lambda session: reserve.release(session, now=later))

    assert outcomes == {"done": 8}
    assert [has(person, "available") for person in people] == ["66.00 EUR"] * 4
    clean()


def test_everything_at_once_ends_clean() -> None:
    people = [partner(available="100.00") for _ in range(3)]
    with db.write() as session:
        for person in people * 3:
            sale = earn(session, person, "50.00")
            become(session, sale, Status.REVERSED, "50.00")
    acts: list[Callable[[Session], object]] = [
        *(lambda session, who=person: ask(session, who, "70.00") for person in people * 2),
        *([lambda session: commissions.post_revisions(session, now=DAY)] * 3),
        *([lambda session: reserve.release(session, now=DAY + timedelta(days=60))] * 3),
        *(lambda session, who=person: hold(session, who) for person in people[:1]),
    ]
    turns = iter(acts)
    guard = threading.Lock()

    def act(session: Session) -> None:
        with guard:
            mine = next(turns)
        mine(session)

    outcomes = at_once(len(acts), act)

    assert set(outcomes) <= {"done", "AboveAvailable", "OnHold"}
    clean()
