"""A withdrawal's way: approved, paid, or given back; and every step that is refused."""

from collections.abc import Callable
from datetime import datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from flowlink.kernel.errors import NotFound
from flowlink.kernel.models import AuditRow
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger, service as ledger_service
from flowlink.notify.models import Mail
from flowlink.payouts import ids, queries, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import STEPS, State, Withdrawal
from flowlink.tracking.models import Status
from tests.factories import balance, make_partner
from tests.payouts.acts import approve, ask, fail, give_back, hold, in_state, pay, reject
from tests.payouts.makers import DAY, IBAN, assert_clean, change, earn

Act = Callable[..., Withdrawal]


def test_at_the_threshold_a_person_approves(session: Session) -> None:
    ada = make_partner(session, available="500.00")

    withdrawal = ask(session, ada, "200.00")
    assert (withdrawal.state, withdrawal.needs_person) == ("requested", True)
    approve(session, withdrawal)

    assert withdrawal.state == "approved"
    assert ask(session, ada, "199.99").state == "approved"
    assert_clean(session)


def test_who_asked_never_approves(session: Session) -> None:
    ada = make_partner(session, available="500.00")
    withdrawal = ask(session, ada, "200.00")

    with pytest.raises(withdrawals.OwnWithdrawal):
        approve(session, withdrawal, by=ada)

    assert (withdrawal.state, withdrawal.approved_by) == ("requested", None)


def test_four_eyes_is_a_constraint_too(session: Session) -> None:
    ada = make_partner(session, available="500.00")
    withdrawal = ask(session, ada, "200.00")

    for change_ in (
        {"approver": ada.user_id, "by": "user:x", "state": "approved"},
        {"approver": None, "by": "policy", "state": "approved"},
        {"approver": None, "by": None, "state": "approved"},
        {"approver": None, "by": "secret", "state": "settled"},
        {"approver": None, "by": "secret", "state": "failed"},
        {"approver": None, "by": "secret", "state": "lost"},
    ):
        with pytest.raises(IntegrityError), session.begin_nested():
            session.execute(
                text(
                    "UPDATE payouts_withdrawal SET approver_id = :approver, approved_by = :by,"
                    " state = :state WHERE id = :id"
                ),
                change_ | {"id": withdrawal.id},
            )

    session.refresh(withdrawal)
    assert withdrawal.state == "requested"


def test_a_step_that_the_table_does_not_know_cannot_be_written(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada)

    with pytest.raises(IntegrityError), session.begin_nested():
        withdrawals.note(session, withdrawal, before=State.SETTLED, actor="test", now=DAY)
    with pytest.raises(IntegrityError), session.begin_nested():
        withdrawals.note(session, withdrawal, before=None, actor="test", now=DAY)

    assert len(queries.steps(session, WithdrawalId(withdrawal.id))) == 2


@pytest.mark.parametrize("statement", ["UPDATE {} SET note = ''", "DELETE FROM {}", "TRUNCATE {}"])
def test_what_happened_stays_written(session: Session, statement: str) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada)

    with pytest.raises(ProgrammingError), session.begin_nested():
        session.execute(text(statement.format("payouts_withdrawal_event")))

    assert len(queries.steps(session, WithdrawalId(withdrawal.id))) == 2


def test_paid_by_hand_settles(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, rail="bank", details=IBAN)
    bank = ledger_service.account(ledger_service.AccountKind.BANK)
    before = ledger.balance(session, bank)

    pay(session, withdrawal, "SEPA 2026-11-01/7")

    assert balance(session, ada, "withdrawing") == "0.00 EUR"
    assert ledger.balance(session, bank) - before == Money.parse("20.00")
    assert queries.paid(session, ada.partner_id) == Money.parse("20.00")
    line = queries.withdrawal(session, WithdrawalId(withdrawal.id))
    assert (line.state, line.reference) == ("settled", "SEPA 2026-11-01/7")
    assert line.destination == "FR14 … 2606"
    assert_clean(session)


def test_paid_twice_is_refused_and_moves_nothing(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = pay(session, ask(session, ada))

    with pytest.raises(withdrawals.AlreadyPaid):
        pay(session, withdrawal, "PP-2")

    assert withdrawal.reference == "PP-1"
    assert queries.paid(session, ada.partner_id) == Money.parse("20.00")
    assert_clean(session)


@pytest.mark.parametrize(
    ("end", "step"), [(reject, "rejected"), (fail, "failed")], ids=["reject", "fail"]
)
def test_what_does_not_go_through_gives_the_money_back(
    session: Session, end: Act, step: str
) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada)

    ended = end(session, withdrawal, "wrong name")

    assert (ended.state, ended.reason) == (step, "wrong name")
    assert balance(session, ada, "available") == "50.00 EUR"
    assert balance(session, ada, "withdrawing") == "0.00 EUR"
    assert_clean(session)


def test_a_payment_that_comes_back_after_it_settled_gives_the_money_back(
    session: Session,
) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = pay(session, ask(session, ada))

    give_back(session, withdrawal, "account closed")

    assert balance(session, ada, "available") == "50.00 EUR"
    assert queries.paid(session, ada.partner_id) == Money.zero()
    assert_clean(session)


def test_a_sent_payment_that_comes_back_gives_the_money_back(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = in_state(session, ada, State.SENT)

    give_back(session, withdrawal)

    assert balance(session, ada, "available") == "50.00 EUR"
    assert_clean(session)


def test_money_given_back_repays_debt_first(session: Session) -> None:
    ada = make_partner(session)
    sale = earn(session, ada, "100.00")
    withdrawal = ask(session, ada, "42.00")
    change(session, sale, Status.REVERSED, "100.00")
    assert balance(session, ada, "debt") == "-42.00 EUR"

    fail(session, withdrawal)

    assert balance(session, ada, "debt") == "0.00 EUR"
    assert balance(session, ada, "available") == "0.00 EUR"
    assert_clean(session)


ACTS: dict[str, tuple[Act, State]] = {
    "approve": (approve, State.APPROVED),
    "reject": (reject, State.REJECTED),
    "fail": (fail, State.FAILED),
    "pay": (pay, State.SETTLED),
    "give_back": (give_back, State.RETURNED),
}


@pytest.mark.parametrize("state", list(State))
@pytest.mark.parametrize("act", list(ACTS))
def test_only_open_steps_are_taken(session: Session, state: State, act: str) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = in_state(session, ada, state)
    before = queries.balances(session, ada.partner_id)
    perform, to = ACTS[act]
    if to in STEPS.get(state, frozenset()):
        perform(session, withdrawal)
        assert withdrawal.state == to
        return

    with pytest.raises(withdrawals.WrongState):
        perform(session, withdrawal)

    assert withdrawal.state == state
    assert queries.balances(session, ada.partner_id) == before


@pytest.mark.parametrize("act", [reject, fail, give_back, pay])
def test_every_end_wants_its_reason_or_reference(session: Session, act: Act) -> None:
    ada = make_partner(session, available="50.00")
    state = State.SETTLED if act is give_back else State.APPROVED
    withdrawal = in_state(session, ada, state)
    before = queries.balances(session, ada.partner_id)

    with pytest.raises((withdrawals.ReasonMissing, withdrawals.ReferenceMissing)):
        act(session, withdrawal, "  ")

    assert withdrawal.state == state
    assert queries.balances(session, ada.partner_id) == before


@pytest.mark.parametrize(("act", "state"), [(approve, State.REQUESTED), (pay, State.APPROVED)])
def test_on_hold_nothing_is_approved_or_paid(session: Session, act: Act, state: State) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = in_state(session, ada, state)
    hold(session, ada)

    with pytest.raises(withdrawals.PartnerOnHold):
        act(session, withdrawal)

    assert withdrawal.state == state
    assert balance(session, ada, "withdrawing") == "20.00 EUR"


def test_an_unknown_withdrawal_is_not_found(session: Session) -> None:
    ada = make_partner(session)
    unknown = Withdrawal(id=ada.partner_id)

    for act in (approve, reject, fail, pay, give_back):
        with pytest.raises(NotFound):
            act(session, unknown)
    with pytest.raises(NotFound):
        queries.withdrawal(session, WithdrawalId(ada.partner_id))
    with pytest.raises(NotFound):
        ids.parse("par_00000000000000000000000000")


def test_every_act_of_an_operator_is_audited(session: Session) -> None:
    ada = make_partner(session, available="500.00")
    withdrawal = ask(session, ada, "200.00")

    give_back(session, pay(session, approve(session, withdrawal)))

    session.flush()
    rows = select(AuditRow.action).where(AuditRow.subject == ids.public(withdrawal.id))
    assert session.scalars(rows.order_by(AuditRow.id)).all() == [
        "approved withdrawal",
        "paid withdrawal",
        "returned withdrawal",
    ]


def test_partners_are_told_how_it_ended(session: Session) -> None:
    ada = make_partner(session, available="500.00")

    give_back(session, pay(session, ask(session, ada)), "account closed")

    mails = session.scalars(select(Mail).where(Mail.to_address == ada.email).order_by(Mail.id))
    told = [(mail.template, (mail.context or {}).get("reason")) for mail in mails]
    assert told == [("payouts/email/paid", ""), ("payouts/email/given_back", "account closed")]


def test_a_run_can_be_given_up(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = in_state(session, ada, State.IN_RUN)

    withdrawals.move(session, withdrawal, State.APPROVED, actor="test", now=DAY)

    assert withdrawal.state == "approved"
    assert_clean(session)


def test_lists_page_by_key(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    first, second = ask(session, ada), ask(session, ada)

    assert [line.id for line in queries.withdrawals(session, ada.partner_id)] == [
        second.id,
        first.id,
    ]
    newest = queries.journal(session, limit=1)
    assert [line.id for line in newest] == [second.id]
    older = queries.journal(session, before=newest[0].id, limit=1)
    assert [line.id for line in older] == [first.id]
    waiting = queries.pending(session)
    assert [line.id for line in waiting] == [first.id, second.id]
    rest = queries.pending(session, after=first.id)
    assert [line.id for line in rest] == [second.id]


def test_what_waits_is_counted_and_summed(session: Session, now: datetime) -> None:
    ada = make_partner(session, available="250.00")
    ask(session, ada, "20.00")
    ask(session, ada, "200.00")
    rejected = ask(session, ada, "10.00")
    withdrawals.reject(
        session, withdrawal_id=WithdrawalId(rejected.id), reason="No.", actor="test", now=now
    )

    assert queries.waiting(session) == queries.Waiting(2, 1, Money.parse("220.00"))
