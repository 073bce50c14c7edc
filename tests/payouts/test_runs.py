"""Payout runs: what is in them, who may release them, and what leaves."""

from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.papers.parties import Party
from flowlink.partners.ids import PartnerId
from flowlink.payouts import check, queries, run_files, run_queries, runs, tax, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import Method, Rail, State, Withdrawal
from flowlink.payouts.run_models import RunItem, RunState
from flowlink.risk import verdicts
from tests.factories import balance, make_operator, make_partner
from tests.payouts.acts import ask, hold, pay
from tests.payouts.makers import DAY, IBAN, assert_clean
from tests.payouts.run_acts import item_of, propose, release, set_up


@pytest.fixture(autouse=True)
def both_rails() -> object:
    with set_up():
        yield


def to_bank(session: Session, amount: str = "20.00", holder: str = "") -> Withdrawal:
    ada = make_partner(session, available="100.00")
    withdrawal = ask(session, ada, amount, rail="bank", details=IBAN)
    session.get_one(Method, withdrawal.method_id).holder = holder
    return withdrawal


def test_a_run_takes_what_is_approved_and_nothing_else(session: Session) -> None:
    approved = to_bank(session, "20.00")
    rich = make_partner(session, available="900.00")
    waiting = ask(session, rich, "300.00", rail="bank", details=IBAN)
    by_paypal = ask(session, make_partner(session, available="50.00"))

    run = propose(session)

    assert (approved.state, waiting.state, by_paypal.state) == ("in_run", "requested", "approved")
    assert (run.item_count, run.total) == (1, Money.parse("20.00"))
    assert_clean(session)


def test_without_an_own_account_nothing_is_proposed(session: Session) -> None:
    to_bank(session)

    with set_up(payout_debtor_iban="FR00"), pytest.raises(runs.RailNotSetUp) as refusal:
        propose(session)

    assert "PAYOUT_DEBTOR_IBAN" in str(refusal.value)


def test_a_bic_that_is_none_is_said_and_no_file_is_tried(session: Session) -> None:
    to_bank(session)

    with set_up(payout_debtor_bic="MYBANK"), pytest.raises(runs.RailNotSetUp) as refusal:
        propose(session)

    assert "PAYOUT_DEBTOR_BIC" in str(refusal.value)


def test_nothing_to_pay_makes_no_run(session: Session) -> None:
    with pytest.raises(runs.NothingToPay):
        propose(session)


def test_the_file_is_the_same_bytes_each_time(session: Session) -> None:
    for number in range(3):
        to_bank(session, f"{20 + number}.10", holder="Zoë Ærø-Łuk <&>")

    run = propose(session)

    first, second = run_files.of(session, run), run_files.of(session, run)
    assert first.body == second.body
    assert first.sha256 == run.sha256
    assert b"<Nm>Zoe AErO-Luk .+.</Nm>" in first.body.replace(b"Ero", b"ErO")


def test_the_bank_reads_the_name_on_the_papers(session: Session) -> None:
    said = to_bank(session, holder="Ada")
    tax.keep(
        session,
        partner_id=PartnerId(said.partner_id),
        party=Party("Ada Lovelace SARL", "2 rue de l'Été", "69001", "Lyon", "FR"),
        tax_number="",
        birth_date=None,
        mandate=False,
        now=DAY,
    )
    holder, nobody = to_bank(session, holder="Bob"), to_bank(session)

    run = propose(session)

    items = run_queries.items(session, run.id)
    assert [(item.withdrawal_id, item.named) for item in items] == [
        (said.id, True),
        (holder.id, True),
        (nobody.id, False),
    ]
    assert [item.holder for item in items[:2]] == ["Ada Lovelace SARL", "Bob"]
    assert b"<Nm>Ada Lovelace SARL</Nm>" in run_files.of(session, run).body
    assert run_queries.unnamed(session, run.id) == 1
    release(session, run, make_operator(session))
    assert run_files.released(session, run).sha256 == run.sha256


def test_a_released_run_is_sent_and_its_file_stays(session: Session) -> None:
    withdrawal = to_bank(session)
    run = propose(session)
    before = run_files.of(session, run).body

    release(session, run, make_operator(session))

    assert withdrawal.state == State.SENT
    assert run_files.released(session, run).body == before
    assert run_queries.one_run(session, run.id).progress == "sent"
    (item,) = run_queries.items(session, run.id)
    assert item.shown == "unknown"
    assert_clean(session)


@pytest.mark.parametrize("rail", Rail)
def test_what_left_stays_as_it_left_whatever_would_be_written_today(
    session: Session, rail: Rail
) -> None:
    ada = make_partner(session, available="50.00")
    ask(session, ada, rail=rail, details=IBAN if rail == Rail.BANK else "ada@example.org")
    run = release(session, propose(session, rail), make_operator(session))
    left = run_files.released(session, run)
    session.flush()

    session.execute(update(RunItem).values(end_to_end_id="PAY1", holder="Somebody else"))
    session.expire_all()

    assert run_files.of(session, run).body != left.body
    assert run_files.released(session, run) == left
    assert IBAN.encode() not in (run.sealed_file or b"")


def test_whoever_made_a_run_does_not_release_it(session: Session) -> None:
    to_bank(session)
    grace = make_operator(session)
    run = propose(session, by=grace)

    with pytest.raises(runs.OwnRun):
        release(session, run, grace)

    assert run.state == RunState.PROPOSED


@pytest.mark.parametrize("by_label", [True, False])
def test_the_table_itself_keeps_four_eyes_on_a_run(session: Session, *, by_label: bool) -> None:
    to_bank(session)
    grace = make_operator(session)
    run = propose(session, by=grace)
    session.flush()

    run.state, run.released_by = RunState.RELEASED, run.made_by if by_label else "key:other"
    run.releaser_id = None if by_label else grace.user_id
    with pytest.raises(IntegrityError, match="four_eyes"):
        session.flush()


def test_who_is_paid_by_a_run_does_not_release_it(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    ask(session, ada, rail="bank", details=IBAN)
    run = propose(session)

    with pytest.raises(runs.OwnRun):
        release(session, run, ada)


def test_a_run_is_released_as_it_was_shown(session: Session) -> None:
    to_bank(session)
    run = propose(session)

    with pytest.raises(runs.RunChanged):
        runs.release(session, run_id=run.id, sha256="0" * 64, actor="secret", person=None, now=DAY)


def test_a_run_of_a_day_gone_by_is_not_released(session: Session) -> None:
    to_bank(session)
    run = propose(session)

    with pytest.raises(runs.RunTooOld):
        release(session, run, make_operator(session), now=DAY + timedelta(days=9))


def test_a_cancelled_run_gives_its_withdrawals_back_to_the_next(session: Session) -> None:
    withdrawal = to_bank(session)
    run = propose(session)

    runs.cancel(session, run_id=run.id, actor="secret", now=DAY)
    again = propose(session)

    assert (run.state, withdrawal.state) == ("cancelled", "in_run")
    names = {item.end_to_end_id for item in session.query(RunItem)}
    assert len(names) == 2
    assert all(len(name) <= 35 for name in names)
    assert again.item_count == 1
    with pytest.raises(runs.RunClosed):
        runs.cancel(session, run_id=run.id, actor="secret", now=DAY)


def test_a_partner_on_hold_is_not_in_a_run(session: Session) -> None:
    held = make_partner(session, available="50.00")
    withdrawal = ask(session, held, rail="bank", details=IBAN)
    to_bank(session)
    hold(session, held)

    run = propose(session)

    assert (run.item_count, withdrawal.state) == (1, "approved")


def test_a_hold_before_the_release_takes_the_partner_out(session: Session) -> None:
    held = make_partner(session, available="50.00")
    withdrawal = ask(session, held, rail="bank", details=IBAN)
    stays = to_bank(session, "30.00")
    run = propose(session)
    hold(session, held)

    release(session, run, make_operator(session))

    assert (withdrawal.state, stays.state) == ("approved", "sent")
    assert run.total == Money.parse("30.00")
    assert item_of(session, withdrawal).left_at is not None
    assert b"30.00" in run_files.released(session, run).body
    assert_clean(session)


def test_a_run_of_held_partners_alone_is_not_released(session: Session) -> None:
    held = make_partner(session, available="50.00")
    ask(session, held, rail="bank", details=IBAN)
    run = propose(session)
    hold(session, held)

    with pytest.raises(runs.RunEmpty):
        release(session, run, make_operator(session))


def test_a_hold_takes_its_partner_out_of_runs_that_wait(session: Session) -> None:
    held = make_partner(session, available="50.00")
    withdrawal = ask(session, held, rail="bank", details=IBAN)
    to_bank(session, "30.00")
    run = propose(session)
    shown = run.sha256
    hold(session, held)

    runs.leave_out(session, partner_id=held.partner_id, actor="hold", now=DAY)

    assert (withdrawal.state, run.item_count) == ("approved", 1)
    assert run.sha256 not in {shown, ""}


def test_a_withdrawal_is_in_one_run_at_most(session: Session) -> None:
    withdrawal = to_bank(session)
    run = propose(session)
    other = propose_empty(session)

    session.add(
        RunItem(
            run_id=other,
            withdrawal_id=withdrawal.id,
            end_to_end_id=f"X{uuid4().hex}"[:30],
            amount_minor=1,
            holder="x",
        )
    )

    assert run.item_count == 1
    with pytest.raises(IntegrityError, match="uq_payouts_run_item_live"):
        session.flush()


def propose_empty(session: Session) -> object:
    """A second run, of another rail."""
    ask(session, make_partner(session, available="50.00"))
    return propose(session, Rail.PAYPAL).id


def test_every_step_of_a_run_is_written_down(session: Session) -> None:
    withdrawal = to_bank(session)
    run = propose(session)
    release(session, run, make_operator(session))

    steps = queries.steps(session, WithdrawalId(withdrawal.id))

    assert [step.state for step in steps] == ["requested", "approved", "in_run", "sent"]


def test_the_paypal_batch_names_each_item(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, "12.50")

    run = propose(session, Rail.PAYPAL)

    body = run_files.of(session, run).body
    assert b'"value":"12.50"' in body
    assert item_of(session, withdrawal).end_to_end_id.encode() in body
    assert str(run.message_id).encode() in body
    assert balance(session, ada, "withdrawing") == "12.50 EUR"


def test_the_proof_finds_a_run_that_differs_from_its_withdrawals(session: Session) -> None:
    to_bank(session)
    run = propose(session)

    run.total_minor += 1
    session.flush()

    assert check.problems(session) == [f"payout run {run.id} differs from its withdrawals"]


def test_a_banned_partner_leaves_every_run(session: Session) -> None:
    banned = to_bank(session)
    other = to_bank(session)
    run = propose(session)

    verdicts.ban(
        session,
        partner_id=PartnerId(banned.partner_id),
        reason="bought clicks",
        evidence={},
        actor="test",
        now=DAY,
        policy=policies.at(session, DAY),
    )
    release(session, run, make_operator(session))

    assert (banned.state, other.state) == (State.APPROVED, State.SENT)
    with pytest.raises(runs.NothingToPay):
        propose(session)
    with pytest.raises(withdrawals.PartnerOnHold):
        pay(session, banned)
    assert_clean(session)
