"""PayPal's answers: each status, in whatever order, and what a call without an answer means."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import inbound
from flowlink.kernel.inbound import ProviderEvent
from flowlink.payouts import outcomes, paypal_runs, run_queries
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.outcomes import Word
from flowlink.payouts.paypal import ItemState, PaypalRefused, Unsure
from flowlink.payouts.run_models import Run
from tests.factories import Person, balance, make_operator, make_partner
from tests.payouts.acts import ask, hold
from tests.payouts.makers import DAY, assert_clean
from tests.payouts.run_acts import Teller, item_of, propose, release, set_up

Sent = tuple[Person, Withdrawal, Run]


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


@pytest.fixture
def sent(session: Session) -> Sent:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada)
    run = release(session, propose(session, Rail.PAYPAL), make_operator(session))
    session.flush()
    return ada, withdrawal, run


def tell(session: Session, sent: Sent, status: str) -> Teller:
    """PayPal says this of the item when it is asked."""
    _, withdrawal, run = sent
    teller = Teller(run)
    teller.says[item_of(session, withdrawal).end_to_end_id] = status
    paypal_runs.drive(teller, run_id=run.id, now=DAY)
    session.expire_all()
    return teller


@pytest.mark.parametrize(
    ("status", "state", "available"),
    [
        ("SUCCESS", "settled", "30.00 EUR"),
        ("FAILED", "failed", "50.00 EUR"),
        ("BLOCKED", "failed", "50.00 EUR"),
        ("RETURNED", "returned", "50.00 EUR"),
        ("REFUNDED", "returned", "50.00 EUR"),
        ("REVERSED", "returned", "50.00 EUR"),
        ("PENDING", "sent", "30.00 EUR"),
        ("UNCLAIMED", "sent", "30.00 EUR"),
        ("ONHOLD", "sent", "30.00 EUR"),
        ("NEVER_HEARD_OF", "sent", "30.00 EUR"),
    ],
)
def test_each_status_ends_where_it_should(
    session: Session, sent: Sent, status: str, state: str, available: str
) -> None:
    tell(session, sent, status)

    assert sent[1].state == state
    assert balance(session, sent[0], "available") == available
    assert_clean(session)


def test_unclaimed_money_comes_back(session: Session, sent: Sent) -> None:
    tell(session, sent, "UNCLAIMED")
    tell(session, sent, "RETURNED")

    assert sent[1].state == "returned"
    assert "30 days" in sent[1].reason
    assert_clean(session)


def test_a_paid_item_can_come_back(session: Session, sent: Sent) -> None:
    tell(session, sent, "SUCCESS")
    tell(session, sent, "REVERSED")

    assert (sent[1].state, balance(session, sent[0], "available")) == ("returned", "50.00 EUR")
    assert_clean(session)


def test_an_impossible_answer_moves_nothing_and_is_shown(session: Session, sent: Sent) -> None:
    tell(session, sent, "FAILED")
    tell(session, sent, "SUCCESS")

    assert sent[1].state == "failed"
    assert run_queries.one_run(session, sent[2].id).troubled == 1
    assert balance(session, sent[0], "available") == "50.00 EUR"
    assert_clean(session)


@pytest.mark.parametrize("status", ["DENIED", "CANCELED"])
def test_a_denied_batch_pays_nobody(session: Session, sent: Sent, status: str) -> None:
    teller = Teller(sent[2])
    teller.status = status

    paypal_runs.drive(teller, run_id=sent[2].id, now=DAY)
    session.expire_all()

    assert sent[1].state == "failed"
    assert_clean(session)


def test_a_hold_after_the_release_does_not_change_what_happened(
    session: Session, sent: Sent
) -> None:
    hold(session, sent[0])

    tell(session, sent, "SUCCESS")

    assert sent[1].state == "settled"
    assert_clean(session)


class Silent(Teller):
    """Takes batches without answering; knows a batch that it has seen."""

    def create(self, body: bytes, *, now: object) -> str:
        self.created.append(body)
        if len(self.created) < 3:
            raise Unsure("no answer")
        return "B1"


def test_a_call_without_an_answer_is_asked_again_under_the_same_id(
    session: Session, sent: Sent
) -> None:
    silent, now = Silent(sent[2]), DAY
    silent.says[item_of(session, sent[1]).end_to_end_id] = "SUCCESS"

    for _ in range(3):
        paypal_runs.drive(silent, run_id=sent[2].id, now=now)
        session.expire_all()
        now += timedelta(hours=6)

    assert len(set(silent.created)) == 1
    names = {json.loads(body)["sender_batch_header"]["sender_batch_id"] for body in silent.created}
    assert names == {sent[2].message_id}
    assert sent[1].state == "settled"


def test_an_unknown_outcome_is_never_given_back_by_itself(session: Session, sent: Sent) -> None:
    silent, now = Silent(sent[2]), DAY
    paypal_runs.drive(silent, run_id=sent[2].id, now=now)
    session.expire_all()
    late = now + paypal_runs.ASK_BY_ID + timedelta(days=1)

    assert paypal_runs.drive(silent, run_id=sent[2].id, now=late) == "waits for a person"

    session.expire_all()
    assert (len(silent.created), sent[1].state) == (1, "sent")
    assert "25 days" in sent[2].trouble


class Refusing(Teller):
    def create(self, body: bytes, *, now: object) -> str:
        raise PaypalRefused("PayPal: 422 INSUFFICIENT_FUNDS")


def test_a_refused_batch_waits_for_a_person_who_can_ask_again(session: Session, sent: Sent) -> None:
    assert paypal_runs.drive(Refusing(sent[2]), run_id=sent[2].id, now=DAY) == "waits for a person"
    session.expire_all()
    assert paypal_runs.due(session, now=DAY + timedelta(days=9)) == []

    paypal_runs.try_again(session, run_id=sent[2].id, actor="secret", now=DAY)
    session.flush()

    assert paypal_runs.due(session, now=DAY) == [sent[2].id]


def test_pauses_grow_and_end(session: Session, sent: Sent) -> None:
    tell(session, sent, "PENDING")
    first = sent[2].next_try_at

    tell(session, sent, "PENDING")

    assert first is not None
    assert sent[2].next_try_at is not None
    assert sent[2].next_try_at - DAY == 2 * (first - DAY)


def event(session: Session, name: str, kind: str, resource: dict[str, object]) -> ProviderEvent:
    body = json.dumps({"id": name, "event_type": kind, "resource": resource}).encode()
    inbound.keep(session, provider="paypal", event_id=name, kind=kind, body=body, now=DAY)
    session.flush()
    return session.scalars(select(ProviderEvent).where(ProviderEvent.event_id == name)).one()


def test_an_item_event_is_handled_once(session: Session, sent: Sent) -> None:
    name = item_of(session, sent[1]).end_to_end_id
    teller = Teller(sent[2])
    teller.says[name] = "SUCCESS"
    kept = event(session, "WH-1", "PAYMENT.PAYOUTS-ITEM.SUCCEEDED", {"payout_item_id": name})

    for _ in range(2):
        paypal_runs.handle(teller, event_key=kept.id, now=DAY)
    session.expire_all()

    assert (sent[1].state, kept.outcome) == ("settled", "applied")
    assert_clean(session)


def test_the_same_event_twice_is_kept_once(session: Session) -> None:
    body = b"{}"
    times = [
        inbound.keep(session, provider="paypal", event_id="WH-2", kind="X", body=body, now=DAY)
        for _ in range(3)
    ]

    assert times == [True, False, False]
    found = select(ProviderEvent).where(ProviderEvent.event_id == "WH-2")
    kept = session.scalars(found.execution_options(populate_existing=True)).one()
    assert kept.copies == 3


def test_an_event_is_only_a_hint_the_provider_is_asked(session: Session, sent: Sent) -> None:
    name = item_of(session, sent[1]).end_to_end_id
    teller = Teller(sent[2])
    teller.says[name] = "RETURNED"  # what PayPal says now, whatever the late event says
    kept = event(session, "WH-3", "PAYMENT.PAYOUTS-ITEM.SUCCEEDED", {"payout_item_id": name})

    paypal_runs.handle(teller, event_key=kept.id, now=DAY)
    session.expire_all()

    assert sent[1].state == "returned"


def test_a_batch_event_tells_us_the_batch_of_a_call_that_was_not_answered(
    session: Session, sent: Sent
) -> None:
    paypal_runs.drive(Silent(sent[2]), run_id=sent[2].id, now=DAY)
    head = {
        "payout_batch_id": "B9",
        "sender_batch_header": {"sender_batch_id": sent[2].message_id},
    }
    kept = event(session, "WH-4", "PAYMENT.PAYOUTSBATCH.PROCESSING", {"batch_header": head})

    paypal_runs.handle(Teller(sent[2]), event_key=kept.id, now=DAY)
    session.expire_all()

    assert sent[2].provider_batch_id == "B9"


def test_an_event_that_cannot_be_looked_up_is_tried_later(session: Session, sent: Sent) -> None:
    class Away(Teller):
        def item(self, item_id: str, *, now: object) -> ItemState:
            raise Unsure("away")

    kept = event(session, "WH-5", "PAYMENT.PAYOUTS-ITEM.HELD", {"payout_item_id": "I1"})

    paypal_runs.handle(Away(sent[2]), event_key=kept.id, now=DAY)
    session.expire_all()

    assert (kept.handled_at, kept.trouble) == (None, "away")
    assert inbound.due(session, provider="paypal", now=DAY) == []
    assert inbound.due(session, provider="paypal", now=DAY + timedelta(minutes=1)) == [kept.id]


def test_an_item_that_is_not_ours_changes_nothing(session: Session) -> None:
    foreign = Word("NOT-OURS", State.SETTLED, says="SUCCESS", reference="T1")

    assert outcomes.apply(session, words=[foreign], actor="paypal", now=DAY) == [None]
