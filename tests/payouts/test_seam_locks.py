"""Where two parts of the house meet at the same moment: each of these locks is needed."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import UUID

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.papers import service as papers
from flowlink.papers.models import Paper
from flowlink.papers.parties import Party
from flowlink.payouts import cases, debts, invoices, outcomes, settling, tax, withdrawals
from flowlink.payouts.case_models import Case
from flowlink.payouts.cases import Claim
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import State, Withdrawal
from flowlink.payouts.outcomes import Became, Word
from flowlink.payouts.run_models import RunItem
from flowlink.risk import watches
from flowlink.risk.watch_models import Watch
from flowlink.tracking import restating
from flowlink.tracking.models import Status
from tests.factories import make_operator, make_partner
from tests.payouts import acts
from tests.payouts.click_makers import accrue, link_to, make_offer
from tests.payouts.makers import DAY, IBAN, assert_clean, change, earn
from tests.payouts.run_acts import propose, release, set_up
from tests.payouts.test_concurrency import at_once, clean, has, partner, while_open
from tests.risk.makers import NOON, machines

pytestmark = pytest.mark.usefixtures("database")
HOUR = timedelta(hours=1)


@pytest.fixture(autouse=True)
def both_rails(database: None) -> Iterator[None]:
    with set_up():
        yield


def test_a_case_sent_many_times_at_once_is_opened_once() -> None:
    ada = partner()
    claim = Claim("missing", Money.parse("5.00"), DAY.date())

    def open_it(session: Session) -> None:
        cases.open_case(
            session, partner_id=ada.partner_id, claim=claim, trail={}, now=DAY, once="form-1"
        )

    assert at_once(8, open_it) == {"done": 8}
    with db.read() as session:
        assert len(session.scalars(select(Case)).all()) == 1


def test_a_sale_restated_many_times_at_once_changes_once() -> None:
    with db.write() as session:
        ada = make_partner(session)
        sale = earn(session, ada, "100.00")

    def restate(session: Session) -> None:
        restating.restate(
            session,
            conversion_id=sale,
            status=Status.REVERSED,
            actor="test",
            now=DAY,
        )

    assert at_once(8, restate) == {"done": 1, "NothingChanges": 7}


def test_two_cleared_watches_share_what_the_budget_holds() -> None:
    with db.write() as session:
        offer = make_offer(session, budget="6.00")
        both = [make_partner(session) for _ in range(2)]
        for person in both:
            machines(session, link_to(session, person, offer))
        accrue(session, NOON + HOUR)
        keys = [watch.id for watch in session.scalars(select(Watch))]
        for key in keys:
            watches.decide(
                session, watch_id=key, fraud=False, reason="seen", actor="test", now=NOON + HOUR
            )
        assert_clean(session)
    settled: list[int] = []

    def settle(session: Session, turn: int) -> None:
        settled.append(settling.settle(session, now=NOON + 2 * HOUR, watch_id=keys[turn]))

    ended = while_open(lambda session: settle(session, 0), lambda session: settle(session, 1))

    assert (ended, settled) == ("done", [60, 0])
    assert sorted(has(person, "available") for person in both) == ["0.00 EUR", "4.20 EUR"]
    clean()


def settled() -> Withdrawal:
    """The withdrawal, which arrived, of a partner who may have an invoice."""
    with db.write() as session:
        us = Party("Flowlink SAS", "1 rue du Port", "75001", "Paris", "FR")
        papers.keep_company(session, party=us, actor="test", now=DAY)
        ada = make_partner(session, available="50.00")
        tax.keep(
            session,
            partner_id=ada.partner_id,
            party=Party("Ada & fils", "2 rue de l'Été", "69001", "Lyon", "FR"),
            tax_number="",
            birth_date=None,
            mandate=True,
            now=DAY,
        )
        return acts.in_state(session, ada, State.SETTLED)


def credit_of(withdrawal: Withdrawal) -> Callable[[Session], None]:
    """What takes this withdrawal's invoice back, which is written by now."""
    with db.write() as session:
        paper = invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY)
        assert paper is not None
        key = paper.id

    def credit(session: Session) -> None:
        known = session.get_one(Paper, key)
        invoices.credit(session, paper=known, reason="wrong", actor="test", now=DAY)

    return credit


def test_an_invoice_taken_back_many_times_at_once_is_credited_once() -> None:
    credit = credit_of(settled())

    assert at_once(8, credit) == {"done": 1, "CreditedAlready": 7}
    with db.read() as session:
        assert len(session.scalars(select(Paper)).all()) == 2


def test_an_invoice_taken_back_by_hand_waits_for_the_one_that_is_written() -> None:
    withdrawal = settled()
    credit = credit_of(withdrawal)

    def write_again(session: Session) -> None:
        invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY)

    assert while_open(credit, write_again) == "done"
    with db.read() as session:
        kinds = session.scalars(select(Paper.kind).order_by(Paper.id)).all()
    assert kinds == ["self_billing", "credit_note", "self_billing"]


def test_an_invoice_waits_for_a_payment_that_is_coming_back() -> None:
    withdrawal = settled()

    ended = while_open(
        lambda session: acts.give_back(session, session.merge(withdrawal)),
        lambda session: invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY),
    )

    assert ended == "done"
    with db.read() as session:
        assert session.scalars(select(Paper)).all() == []


def test_a_word_said_while_the_same_is_written_down_is_known() -> None:
    ada = partner(available="50.00")
    with db.write() as session:
        acts.ask(session, ada, rail="bank", details=IBAN)
        release(session, propose(session), make_operator(session))
        name = session.scalars(select(RunItem.end_to_end_id)).one()
    word = Word(name, State.SETTLED, says="DBIT", reference="R1")
    became: list[Became | None] = []

    def apply(session: Session) -> None:
        became.extend(outcomes.apply(session, words=[word], actor="bank", now=DAY))

    assert while_open(apply, apply) == "done"
    assert became == [Became.APPLIED, Became.KNOWN]
    clean()


def owing() -> tuple[UUID, WithdrawalId]:
    """A sale of which half was taken back after all of it was asked for, and what was asked for."""
    with db.write() as session:
        ada = make_partner(session)
        sale = earn(session, ada, "100.00")
        asked = acts.ask(session, ada, "42.00", rail="bank", details=IBAN)
        change(session, sale, Status.APPROVED, "50.00")
        return sale, WithdrawalId(asked.id)


def seen(withdrawal_id: WithdrawalId) -> Money:
    """With how much debt a person has let it be paid."""
    with db.read() as session:
        return Money(session.get_one(Withdrawal, withdrawal_id).debt_seen_micro)


def test_a_debt_that_is_growing_is_allowed_as_it_will_be() -> None:
    sale, withdrawal_id = owing()

    ended = while_open(
        lambda session: change(session, sale, Status.REVERSED, "50.00"),
        lambda session: debts.allow(session, withdrawal_id=withdrawal_id, actor="test", now=DAY),
    )

    assert (ended, seen(withdrawal_id)) == ("done", Money.parse("42.00"))


def test_what_is_being_paid_is_not_allowed_any_more() -> None:
    _, withdrawal_id = owing()

    ended = while_open(
        lambda session: withdrawals.mark_paid(
            session, withdrawal_id=withdrawal_id, reference="7", actor="test", now=DAY
        ),
        lambda session: debts.allow(session, withdrawal_id=withdrawal_id, actor="test", now=DAY),
    )

    assert (ended, seen(withdrawal_id)) == ("NothingStopped", Money.zero())


def test_a_debt_allowed_many_times_at_once_is_allowed_once() -> None:
    _, withdrawal_id = owing()

    def allow(session: Session) -> None:
        debts.allow(session, withdrawal_id=withdrawal_id, actor="test", now=DAY)

    assert at_once(8, allow) == {"done": 1, "NothingStopped": 7}
    assert seen(withdrawal_id) == Money.parse("21.00")
