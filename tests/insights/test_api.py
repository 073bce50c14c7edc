"""The operator's summary as JSON: each figure against what really happened."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.insights import figures
from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.payouts import withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.risk import service as risk
from tests.factories import make_partner, sign_in
from tests.insights.makers import click_again, make_world, read, report, withdraw

SECRET = {"x-admin-secret": "an-admin-secret-for-tests-only"}
SUMMARY = "/api/admin/summary"


def summary(client: TestClient) -> dict[str, object]:
    answer = client.get(SUMMARY, headers=SECRET)
    assert answer.status_code == 200
    found: dict[str, object] = answer.json()
    return found


def test_an_empty_installation_counts_nothing(client: TestClient) -> None:
    assert summary(client) == {
        "clicks_7d": 0,
        "conv_7d": 0,
        "rev_7d": 0,
        "epc_7d": 0,
        "available": 0,
        "reserved": 0,
        "paid": 0,
        "pending": 0,
        "approved": 0,
        "posted": 0,
        "failed": 0,
        "holds": 0,
        "postbacks_24h": 0,
        "partners_active": 0,
        "offer": {"headline_cpc": 0.12, "epc_7d": 0, "terms": {"mode": "revshare"}},
    }


def test_every_figure_is_what_happened(client: TestClient, session: Session, now: datetime) -> None:
    world = make_world(session, now=now)
    second = click_again(session, world, now=now)
    report(session, world.shop, now=now, subid=second, amount="7", status="pending", txn_id="t2")
    made = withdraw(session, world.ada.partner_id, "20.00", now=now)
    withdrawals.mark_paid(
        session, withdrawal_id=WithdrawalId(made.id), reference="x", actor="test", now=now
    )
    risk.place_hold(
        session,
        partner_id=world.ada.partner_id,
        reason="test",
        evidence={},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )

    found = summary(client)

    assert (
        found
        | {
            "clicks_7d": 2,
            "conv_7d": 1,
            "rev_7d": 100.0,
            "epc_7d": 50.0,
            "available": 22.0,
            "reserved": 18.0,
            "paid": 20.0,
            "holds": 1,
            "postbacks_24h": 2,
            "offer": {"headline_cpc": 30.0, "epc_7d": 50.0, "terms": {"mode": "revshare"}},
        }
        == found
    )


def test_what_is_older_than_seven_days_does_not_count(
    client: TestClient, session: Session, now: datetime
) -> None:
    make_world(session, now=now - timedelta(days=8))

    found = summary(client)

    assert (found["clicks_7d"], found["conv_7d"], found["rev_7d"]) == (0, 0, 0)
    assert found["available"] == 42.0


def test_the_page_shows_the_same_figures(
    client: TestClient, session: Session, now: datetime
) -> None:
    make_world(session, now=now)

    page = read(client, "/admin/monitoring", **SECRET)

    for text in ("€100.00", "€42.00", "€18.00"):
        assert text in page, text
    assert ",1,0,0,1,0,0,100.00,0.00,1" in client.get("/admin/monitoring.csv", headers=SECRET).text


def test_only_operators_are_told(client: TestClient, session: Session) -> None:
    assert client.get(SUMMARY).status_code == 401

    sign_in(client, make_partner(session))
    answer = client.get(SUMMARY)
    assert (answer.status_code, answer.headers["content-type"]) == (403, "application/problem+json")


@pytest.mark.parametrize(
    ("total", "count", "each"), [(1, 2, 0), (3, 2, 2), (5, 2, 2), (100_000_000, 3, 33_333_333)]
)
def test_shares_round_half_even(total: int, count: int, each: int) -> None:
    assert figures.per(Money(total), count) == Money(each)
