"""What the provider tells arrives twice, late and in any order; the end is the same."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import text

from flowlink.app import checks
from flowlink.billing import charges, ids, inbox, purchases, sandbox
from flowlink.billing.sandbox import Card, Webhook
from flowlink.billing.sandbox_models import SandboxCharge
from flowlink.kernel import db
from flowlink.teams.models import Team
from tests.billing.makers import pro_team
from tests.teams.makers import make_team

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PURCHASES = 1000
DUPLICATES, LATE = 0.3, 0.1

STATE = text(
    """
    SELECT p.status, p.amount_minor, p.refunded_minor, p.dispute, p.undeferred_micro, r.status,
           r.kind, r.quantity, g.cpu_cores, g.memory_mb, v.voided_at
      FROM billing_payment p JOIN billing_resource r ON r.id = p.resource_id
      LEFT JOIN billing_grant g ON g.payment_id = p.id
      LEFT JOIN billing_grant_void v ON v.grant_id = g.id
     ORDER BY p.id
    """
)
BALANCES = text(
    """
    SELECT a.kind, CASE a.kind WHEN 'deferred' THEN '' ELSE a.owner END, sum(b.balance)::bigint
      FROM ledger_account a JOIN ledger_balance b ON b.account = a.number
     GROUP BY 1, 2 ORDER BY 1, 2
    """
)


def buy_many(count: int) -> list[str]:
    """So many add-ons, ordered by many teams: the names of their charges."""
    dice = random.Random(7)  # noqa: S311
    refs = []
    with db.write() as session:
        teams: list[Team] = [pro_team(session, slug=f"team-{n}", now=NOW) for n in range(20)]
    for number in range(count):
        with db.write() as session:
            bought = purchases.buy_addon(
                session,
                team=teams[number % len(teams)],
                kind=dice.choice(["ram", "traffic"]),
                quantity=1,
                actor="test",
                now=NOW,
            )
        key = ids.PaymentId(bought.payment.id)
        charges.checkout(team_id=bought.payment.team_id, payment_id=key, now=NOW)
        refs.append(ids.payment(key))
    return refs


def play(refs: Sequence[str]) -> list[list[Webhook]]:
    """What happens to each charge at the provider; all that it tells about it, in order."""
    dice = random.Random(8)  # noqa: S311
    told = []
    for ref in refs:
        with db.write() as session:
            card = Card.DECLINED if dice.random() < 0.1 else Card.GOOD
            charge = sandbox.pay(session, ref, card=card, confirmed=True, now=NOW)
            messages = [sandbox.webhook(charge, now=NOW)]
            if charge.status == "paid" and dice.random() < 0.2:
                charge.refunded_minor = dice.choice([30, charge.amount_minor])
                messages.append(sandbox.webhook(charge, now=NOW))
            elif charge.status == "paid" and dice.random() < 0.2:
                for step in ("open", dice.choice(["won", "lost"])):
                    charge = sandbox.decide(session, ref, dispute=step, now=NOW)
                    messages.append(sandbox.webhook(charge, now=NOW))
        told.append(messages)
    return told


def deliver(messages: Sequence[Webhook]) -> None:
    for message in messages:
        inbox.receive("sandbox", message.headers, message.body, now=NOW)


def outcome() -> tuple[Any, ...]:
    """All that must be the same, whatever the order was."""
    with db.read() as session:
        assert checks.problems(session) == []
        rows = [tuple(row) for row in session.execute(STATE)]
        balances = [tuple(row) for row in session.execute(BALANCES)]
    return rows, balances


def in_order() -> tuple[Any, ...]:
    for messages in play(buy_many(PURCHASES)):
        deliver(messages)
    inbox.handle_due("sandbox", now=NOW)
    return outcome()


def shuffled() -> tuple[Any, ...]:
    dice = random.Random(9)  # noqa: S311
    every = [message for messages in play(buy_many(PURCHASES)) for message in messages]
    every += dice.sample(every, int(len(every) * DUPLICATES))
    dice.shuffle(every)
    late = int(len(every) * LATE)
    deliver(every[late:])
    inbox.handle_due("sandbox", now=NOW)
    deliver(every[:late])
    inbox.handle_due("sandbox", now=NOW)
    return outcome()


@pytest.mark.timeout(300)
def test_the_end_is_the_same_in_any_order(database: str, cluster: Any) -> None:
    expected = in_order()
    cluster.create("shuffled")
    db.connect(cluster.url("shuffled"), pool_size=20)

    found = shuffled()

    assert len(found[0]) == PURCHASES
    assert found == expected
    db.connect(database)
    cluster.drop("shuffled")


def test_a_message_about_an_unknown_payment_is_kept(database: str) -> None:
    ref = ids.payment(ids.PaymentId(__import__("uuid").uuid4()))
    charge = SandboxCharge(ref=ref, status="paid", amount_minor=1, refunded_minor=0, dispute="none")
    deliver([sandbox.webhook(charge, now=NOW)])

    assert inbox.handle_due("sandbox", now=NOW) == 1

    with db.read() as session:
        row = session.execute(text("SELECT outcome, kind FROM kernel_provider_event")).one()
    assert row.outcome == "unknown payment"
    assert ref in row.kind


@pytest.mark.parametrize("broken", ["body", "signature", "old", "none"])
def test_a_forged_message_is_refused(database: str, broken: str) -> None:
    charge = SandboxCharge(
        ref="pm_x", status="paid", amount_minor=1, refunded_minor=0, dispute="none"
    )
    message = sandbox.webhook(charge, now=NOW)
    headers, body, now = dict(message.headers), message.body, NOW
    if broken == "body":
        body = body.replace(b"pm_x", b"pm_y")
    elif broken == "signature":
        headers[sandbox.HEADER] = headers[sandbox.HEADER][:-1] + "g"
    elif broken == "old":
        now = NOW + timedelta(minutes=6)
    else:
        headers = {}

    with pytest.raises(inbox.WebhookNotGenuine):
        inbox.receive("sandbox", headers, body, now=now)


def test_another_amount_grants_nothing(database: str) -> None:
    (ref,) = buy_many(1)
    play([ref])
    with db.write() as session:
        charge = session.get_one(SandboxCharge, ref)
        charge.amount_minor, charge.status = 1, "paid"
        charge.refunded_minor = 0

    told = charges.look(ids.parse_ref(ref), now=NOW)

    assert told == "the provider names another amount"
    assert outcome()[0][0][0] == "pending"


def test_a_team_without_a_plan_is_no_customer(database: str) -> None:
    with db.write() as session:
        team = make_team(session, slug="free-team")
    with db.write() as session, pytest.raises(purchases.NotPro):
        purchases.buy_addon(session, team=team, kind="ram", quantity=1, actor="test", now=NOW)
