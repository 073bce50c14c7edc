"""What the provider tells arrives twice, late and in any order; the end is the same."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from flowlink.billing import charges, ids, inbox, payday, purchases, sandbox
from flowlink.billing.sandbox_models import SandboxCharge
from flowlink.kernel import db
from tests.billing import storms
from tests.billing.makers import pro_team
from tests.teams.makers import make_team

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
PURCHASES = 120


def test_the_end_is_the_same_in_any_order(database: str, cluster: Any) -> None:
    expected = storms.in_order(PURCHASES)
    cluster.create("shuffled")
    db.connect(cluster.url("shuffled"), pool_size=20)

    found = storms.shuffled(PURCHASES)

    assert len(found[0]) == PURCHASES
    assert found == expected
    db.connect(database)
    cluster.drop("shuffled")


def test_a_message_about_an_unknown_payment_is_kept(database: str) -> None:
    ref = ids.payment(ids.PaymentId(uuid4()))
    charge = SandboxCharge(ref=ref, status="paid", amount_minor=1, refunded_minor=0, dispute="none")
    storms.deliver([sandbox.webhook(charge, now=NOW)])

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
    (ref,) = storms.buy_many(1)
    storms.play([ref])
    with db.write() as session:
        charge = session.get_one(SandboxCharge, ref)
        charge.amount_minor, charge.status = 1, "paid"
        charge.refunded_minor = 0

    told = charges.look(ids.parse_ref(ref), now=NOW)

    assert told == "the provider names another amount"
    assert storms.outcome()[0][0][0] == "pending"


def test_a_team_without_a_plan_is_no_customer(database: str) -> None:
    with db.write() as session:
        team = make_team(session, slug="free-team")
    with db.write() as session, pytest.raises(purchases.NotPro):
        purchases.buy_addon(session, team=team, kind="ram", quantity=1, actor="test", now=NOW)


def test_the_shell_pays_a_payment_and_says_so(database: str) -> None:
    with db.write() as session:
        team = pro_team(session, now=NOW)
    with db.write() as session:
        bought = purchases.buy_addon(
            session, team=team, kind="cpu", quantity=1, actor="test", now=NOW
        )
    name = ids.payment(bought.payment.id)
    charges.checkout(team_id=team.id, payment_id=bought.payment.id, now=NOW)

    assert payday.pay_payment(name, now=NOW) == "paid"
    assert payday.pay_payment(name, now=NOW) == "paid"
