"""A partner asks for money: what is set aside, what is refused, where it will go."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.models import AuditRow
from flowlink.kernel.money import BadAmount, Money
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts import ids, methods, queries, service as payouts, withdrawals
from flowlink.payouts.ids import WithdrawalId
from tests.factories import balance, make_partner
from tests.payouts.acts import ask, hold
from tests.payouts.makers import DAY, IBAN


def test_a_small_withdrawal_is_approved_at_once(session: Session) -> None:
    ada = make_partner(session, available="50.00")

    withdrawal = ask(session, ada, "20.00")

    assert (withdrawal.state, withdrawal.approved_by) == ("approved", "policy")
    assert balance(session, ada, "available") == "30.00 EUR"
    assert balance(session, ada, "withdrawing") == "20.00 EUR"
    assert [step.state for step in queries.steps(session, WithdrawalId(withdrawal.id))] == [
        "requested",
        "approved",
    ]


@pytest.mark.parametrize(
    ("amount", "rail", "details", "error"),
    [
        ("9.99", "paypal", "ada@example.org", payouts.BelowMinimum),
        ("-20", "paypal", "ada@example.org", payouts.BelowMinimum),
        (Money(20_000_001), "paypal", "ada@example.org", BadAmount),
        ("50.01", "paypal", "ada@example.org", payouts.AboveAvailable),
        ("20", "cheque", "ada@example.org", methods.BadMethod),
        ("20", "paypal", "", methods.BadDetails),
        ("20", "paypal", "ada at example", methods.BadPaypalAddress),
        ("20", "bank", "FR1420041010050500013M02607", methods.BadIban),
        ("20", "bank", "FR14", methods.BadIban),
        ("20", "bank", "BR1800360305000010009795493C1", methods.NotSepa),
    ],
)
def test_a_request_that_cannot_be_moves_nothing(
    session: Session, amount: str | Money, rail: str, details: str, error: type[FlowlinkError]
) -> None:
    ada = make_partner(session, available="50.00")

    with pytest.raises(error), session.begin_nested():
        ask(session, ada, amount, rail=rail, details=details)

    assert balance(session, ada, "available") == "50.00 EUR"
    assert balance(session, ada, "withdrawing") == "0.00 EUR"
    assert queries.withdrawals(session, ada.partner_id) == []
    assert queries.methods(session, ada.partner_id) == []


def test_a_minimum_of_nothing_still_asks_for_something(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    policies.change(session, name="PAYOUT_MIN_EUR", value="0", actor="test", reason="test", now=DAY)

    with pytest.raises(payouts.BelowMinimum):
        ask(session, ada, "0.00")

    assert balance(session, ada, "available") == "50.00 EUR"


def test_on_hold_nothing_leaves(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    hold(session, ada)

    with pytest.raises(payouts.OnHold, match="52 clicks"):
        ask(session, ada)

    assert balance(session, ada, "available") == "50.00 EUR"


@pytest.mark.parametrize("status", [PartnerStatus.PENDING, PartnerStatus.CLOSED])
def test_only_an_active_partner_withdraws(session: Session, status: PartnerStatus) -> None:
    ada = make_partner(session, available="50.00")
    session.get_one(Partner, ada.partner_id).status = status

    with pytest.raises(payouts.NotActive):
        ask(session, ada)

    assert balance(session, ada, "available") == "50.00 EUR"


def test_the_same_form_sent_twice_withdraws_once(session: Session) -> None:
    ada = make_partner(session, available="50.00")

    first, second = ask(session, ada, once="form-1"), ask(session, ada, once="form-1")

    assert first.id == second.id
    assert balance(session, ada, "available") == "30.00 EUR"
    assert ask(session, ada, once="form-2").id != first.id


def test_the_same_form_with_another_amount_is_refused(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    ask(session, ada, "20.00", once="form-1")

    with pytest.raises(payouts.FormSentBefore, match="sent before"), session.begin_nested():
        ask(session, ada, "25.00", once="form-1")

    assert balance(session, ada, "withdrawing") == "20.00 EUR"


def test_a_second_method_is_looked_at_for_72_hours(session: Session) -> None:
    ada = make_partner(session, available="200.00")
    assert ask(session, ada).state == "approved"

    changed = ask(session, ada, rail="bank", details=IBAN)
    assert (changed.state, changed.needs_person) == ("requested", True)
    later = ask(session, ada, rail="bank", details=IBAN, now=DAY + timedelta(hours=72))

    assert later.state == "approved"
    assert later.method_id == changed.method_id


def test_without_details_the_last_method_of_that_rail_is_taken(session: Session) -> None:
    ada = make_partner(session, available="200.00")
    ask(session, ada, details="ada@example.org")
    ask(session, ada, rail="bank", details=IBAN)

    again = ask(session, ada, details="")

    assert queries.withdrawal(session, WithdrawalId(again.id)).destination == "a…@example.org"
    last = queries.methods(session, ada.partner_id)
    assert {method.rail for method in last} == {"paypal", "bank"}


def test_details_are_known_again_however_they_are_written(session: Session) -> None:
    ada = make_partner(session, available="200.00")
    ask(session, ada, rail="bank", details=IBAN)

    ask(session, ada, rail="bank", details=" fr14 2004 1010 0505 0001 3m02 606 ")

    assert len(queries.methods(session, ada.partner_id)) == 1


def test_details_are_encrypted_and_whoever_reads_them_is_written_down(session: Session) -> None:
    ada = make_partner(session, available="200.00")
    withdrawal = ask(session, ada, rail="bank", details=IBAN)

    details = withdrawals.reveal(
        session, withdrawal_id=WithdrawalId(withdrawal.id), actor="user:eve", now=DAY
    )

    assert details == IBAN
    stored = session.execute(text("SELECT sealed, masked, fingerprint FROM payouts_method")).all()
    assert all(IBAN.encode() not in bytes(row.sealed) for row in stored)
    assert all("0505" not in row.masked for row in stored)
    session.flush()
    subject = ids.public(withdrawal.id)
    actions = session.scalars(select(AuditRow.action).where(AuditRow.subject == subject)).all()
    assert actions == ["read payout details"]
