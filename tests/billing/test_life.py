"""An add-on from its purchase to its end: renewed, failed, tried again, ended, given back."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import (
    books,
    charges,
    ids,
    invoices,
    limits,
    payday,
    pricing,
    purchases,
    refunds,
    renewals,
)
from flowlink.billing.models import Payment, Resource, Status
from flowlink.billing.sandbox import Card
from flowlink.kernel import jobs
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.accounts import AccountKind, account
from flowlink.notify.models import Mail
from flowlink.papers import service as papers
from flowlink.papers.models import Kind, Paper
from flowlink.papers.parties import Party
from tests.billing.makers import Shop, key_of, pro_team
from tests.factories import make_operator, sign_in

DAY = timedelta(days=1)
MONTH = timedelta(days=30)


class Life(Shop):
    """A shop whose clock the test moves."""

    def resource(self, order: dict[str, Any]) -> Resource:
        self.session.expire_all()
        return self.session.get_one(Resource, ids.parse_resource(order["resource_id"]))

    def payment(self, order: dict[str, Any]) -> Payment:
        self.session.expire_all()
        return self.session.get_one(Payment, key_of(order))

    def cpu(self, at: datetime) -> int:
        self.session.expire_all()
        return limits.at(self.session, self.team.id, at).total.cpu_cores

    def until(self, order: dict[str, Any]) -> datetime:
        found = self.resource(order).expires_at
        assert found is not None
        return found

    def mails(self) -> list[str]:
        found = self.session.scalars(select(Mail.template).order_by(Mail.id))
        return [name.removeprefix("billing/email/") for name in found]

    def has(self, kind: AccountKind, owner: object = None) -> str:
        place = account(kind, str(owner) if owner else None)
        return str(ledger.balance(self.session, place))


@pytest.fixture
def shop(client: TestClient, session: Session) -> Iterator[Life]:
    made = Life(client, session, pro_team(session))
    yield made
    session.expire_all()
    assert checks.problems(session) == []


def test_it_renews_itself_before_its_end(shop: Life) -> None:
    order = shop.bought("cpu", 2)
    end = shop.until(order)

    assert renewals.renew_due(now=end - DAY) == (0, 0)
    assert renewals.renew_due(now=end - timedelta(hours=2)) == (1, 0)
    assert renewals.renew_due(now=end - timedelta(hours=1)) == (0, 0)

    assert shop.resource(order).status == Status.ACTIVE
    assert shop.until(order) == end + MONTH
    moments = [end - timedelta(seconds=1), end, end + MONTH - timedelta(seconds=1), end + MONTH]
    assert [shop.cpu(at) for at in moments] == [6, 6, 6, 4]


def test_one_that_was_cancelled_ends_on_its_day(shop: Life) -> None:
    order = shop.bought("cpu")
    end = shop.until(order)
    shop.cancel(order["resource_id"])

    assert renewals.renew_due(now=end - timedelta(hours=1)) == (0, 0)
    assert renewals.expire(now=end - timedelta(seconds=1)) == 0
    assert jobs.run("expire_additional_resources", end) == "1 plans and add-ons ended"
    assert renewals.expire(now=end) == 0

    assert shop.status(order["resource_id"]) == "cancelled"
    assert [shop.cpu(end - timedelta(seconds=1)), shop.cpu(end)] == [5, 4]
    assert shop.mails()[-1] == "ended"


def test_without_renewal_it_expires(shop: Life) -> None:
    order = shop.bought("cpu")
    purchases.set_renewal(
        shop.session,
        team=shop.team,
        resource_id=ids.parse_resource(order["resource_id"]),
        on=False,
        actor="test",
        now=shop.until(order) - DAY,
    )
    shop.session.flush()

    renewals.expire(now=shop.until(order))

    assert shop.status(order["resource_id"]) == "expired"


def test_a_failed_renewal_has_grace_and_three_more_tries(shop: Life) -> None:
    order = shop.bought("cpu", card=Card.EXPIRES)
    end = shop.until(order)
    first = end - timedelta(hours=2)

    assert renewals.renew_due(now=first) == (1, 0)
    assert shop.status(order["resource_id"]) == "past_due"
    tries = [
        sum(renewals.renew_due(now=first + timedelta(days=days))) for days in (1, 2, 3, 4, 5, 6, 7)
    ]
    assert tries == [0, 1, 0, 0, 1, 0, 1]
    assert renewals.expire(now=end + 7 * DAY - timedelta(seconds=1)) == 0
    assert renewals.expire(now=end + 7 * DAY) == 1

    assert shop.status(order["resource_id"]) == "expired"
    grace_end = end + 7 * DAY
    assert [shop.cpu(at) for at in (end, grace_end - timedelta(seconds=1), grace_end)] == [5, 5, 4]
    assert shop.mails() == ["paid", "past_due", "ended"]


def test_paying_in_the_grace_goes_on_where_the_period_ended(shop: Life) -> None:
    order = shop.bought("cpu", card=Card.EXPIRES)
    end = shop.until(order)
    renewals.renew_due(now=end - timedelta(hours=1))
    late = end + 3 * DAY
    failed = shop.session.scalars(select(Payment).where(Payment.purpose == "renewal")).one()

    url = charges.checkout(team_id=shop.team.id, payment_id=failed.id, now=late)
    payday.pay(url.rpartition("/")[2], card=Card.GOOD, now=late)

    assert shop.until(order) == end + MONTH
    assert [shop.cpu(at) for at in (end, late, end + MONTH)] == [5, 5, 4]
    assert renewals.renew_due(now=late + 2 * DAY) == (0, 0)


def test_a_payment_after_the_end_goes_back_by_itself(shop: Life) -> None:
    order = shop.buy("cpu").json()
    shop.cancel(order["resource_id"])

    shop.pay(order["payment_id"])
    assert shop.status(order["resource_id"]) == "cancelled"
    assert shop.get("limits")["cpu_cores"] == 4
    paid_at = shop.payment(order).paid_at
    assert paid_at is not None
    jobs.run_pending(paid_at)

    assert shop.payment(order).refunded_minor == 200
    assert shop.has(AccountKind.CLEARING, "sandbox") == "0.00 EUR"


def test_reminders_come_seven_days_and_one_ahead_once(shop: Life) -> None:
    order = shop.bought("cpu")
    end = shop.until(order)
    sent = [renewals.remind(now=end - days * DAY) for days in (8, 7, 6, 2, 1, 0.5)]

    assert sent == [0, 1, 0, 0, 1, 0]
    assert shop.mails() == ["paid", "renews", "renews"]


def test_add_ons_do_not_renew_without_the_plan(shop: Life) -> None:
    order = shop.bought("cpu")
    end = shop.until(order)
    purchases.give_plan(shop.session, team=shop.team, plan="free", actor="test", now=end - 2 * DAY)
    shop.session.flush()

    assert renewals.renew_due(now=end - timedelta(hours=1)) == (0, 0)
    assert shop.cpu(end - timedelta(hours=1)) == 2


def test_money_given_back_takes_the_add_on_away(shop: Life) -> None:
    order = shop.bought("cpu", 2)
    paid_at = shop.payment(order).paid_at
    assert paid_at is not None
    refund(shop, order, "1.00", paid_at + DAY)
    assert shop.status(order["resource_id"]) == "active"

    refund(shop, order, "3.00", paid_at + 2 * DAY)

    assert shop.resource(order).status == Status.VOIDED
    moments = (paid_at + DAY, paid_at + 2 * DAY)
    assert [shop.cpu(at) for at in moments] == [6, 4]
    assert shop.has(AccountKind.CLEARING, "sandbox") == "0.00 EUR"
    assert shop.has(AccountKind.VAT, "FR") == "0.00 EUR"
    with pytest.raises(refunds.RefundTooLarge):
        refund(shop, order, "0.01", paid_at + 3 * DAY)


def refund(shop: Life, order: dict[str, Any], amount: str, now: datetime) -> None:
    refunds.ask(
        shop.session,
        payment_id=key_of(order),
        amount=Money.parse(amount),
        reason="asked",
        actor="test",
        now=now,
    )
    shop.session.flush()
    charges.refund(key_of(order), now=now)
    charges.refund(key_of(order), now=now)
    shop.session.expire_all()


def test_revenue_is_recognised_day_by_day_and_wholly(shop: Life) -> None:
    order = shop.bought("cpu", 3)
    start = shop.payment(order).starts_at
    assert start is not None
    assert shop.has(AccountKind.DEFERRED, key_of(order)) == "5.00 EUR"

    for day in (1, 1, 2, 15):
        books.recognise(shop.session, now=start + day * DAY)
    half = Money.parse("5.00") - ledger.balance(
        shop.session, account(AccountKind.DEFERRED, key_of(order))
    )
    books.recognise(shop.session, now=start + 31 * DAY)

    assert Money.parse("2.30") < half < Money.parse("2.51")
    assert shop.has(AccountKind.SALES) == "5.00 EUR"
    assert shop.has(AccountKind.VAT, "FR") == "1.00 EUR"
    assert books.recognise(shop.session, now=start + 40 * DAY) == 0


def test_a_refund_in_the_middle_leaves_nothing_behind(shop: Life) -> None:
    order = shop.bought("cpu", 3)
    start = shop.payment(order).starts_at
    assert start is not None
    books.recognise(shop.session, now=start + 20 * DAY)

    refund(shop, order, "6.00", start + 20 * DAY)
    books.recognise(shop.session, now=start + 31 * DAY)

    for kind, owner in ((AccountKind.SALES, None), (AccountKind.DEFERRED, key_of(order))):
        assert shop.has(kind, owner) == "0.00 EUR"


@pytest.mark.parametrize(("end", "cpu", "status"), [("won", 5, "active"), ("lost", 4, "voided")])
def test_a_dispute_holds_the_money_and_ends(shop: Life, end: str, cpu: int, status: str) -> None:
    order = shop.bought("cpu", card=Card.DISPUTED)
    assert shop.payment(order).dispute == "open"
    assert shop.has(AccountKind.DISPUTED, "sandbox") == "-2.00 EUR"
    assert shop.has(AccountKind.CLEARING, "sandbox") == "0.00 EUR"
    assert shop.get("limits")["cpu_cores"] == 5

    now = shop.payment(order).paid_at
    assert now is not None
    payday.dispute(order["payment_id"], to=end, now=now + DAY)

    assert shop.has(AccountKind.DISPUTED, "sandbox") == "0.00 EUR"
    assert shop.cpu(now + DAY) == cpu
    assert shop.resource(order).status == status


def test_what_was_bought_keeps_its_price(shop: Life, tmp_path: Any) -> None:
    from tests.conftest import chosen_settings  # noqa: PLC0415

    order = shop.bought("cpu", 2)
    dearer = (pricing.PACKAGED).read_text().replace('"price_minor": 200', '"price_minor": 900')
    path = tmp_path / "prices.json"
    path.write_text(dearer)

    with chosen_settings(pricing_specs=str(path)):
        renewals.renew_due(now=shop.until(order) - timedelta(hours=1))
        new = shop.buy("cpu").json()

    renewed = shop.session.scalars(select(Payment).where(Payment.purpose == "renewal")).one()
    assert (renewed.amount_minor, new["amount"]) == (400, 9.0)


def test_invoices_have_no_gap_and_refunds_get_their_notes(shop: Life) -> None:
    seller = Party("Seller", "1 rue", "75001", "Paris", "FR", vat_number="FR40303265045")
    now = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
    orders = [shop.bought("cpu"), shop.bought("ram", 3)]
    assert invoices.waiting(shop.session) == []
    papers.keep_company(shop.session, party=seller, actor="test", now=now)
    shop.session.flush()

    jobs.run("billing_papers", now)
    refund(shop, orders[1], "1.00", now)
    refund(shop, orders[1], "2.00", now)
    jobs.run("billing_papers", now)
    jobs.run("billing_papers", now)

    found = shop.session.scalars(select(Paper).order_by(Paper.id)).all()
    assert [paper.number for paper in found] == [
        "INV-2026-00001",
        "INV-2026-00002",
        "CN-2026-00001",
    ]
    assert [paper.total_minor for paper in found] == [200, 300, 300]
    assert found[2].kind == Kind.CREDIT_NOTE


def test_the_operators_papers_show_those_of_teams(shop: Life, session: Session) -> None:
    seller = Party("Seller", "1 rue", "75001", "Paris", "FR", vat_number="FR40303265045")
    now = datetime.fromisoformat("2026-11-21T12:00:00+00:00")
    orders = [shop.bought("cpu"), shop.bought("ram", 3)]
    papers.keep_company(session, party=seller, actor="test", now=now)
    refund(shop, orders[0], "2.00", now)
    refund(shop, orders[1], "1.00", now)
    jobs.run("billing_papers", now)
    operator = sign_in(shop.client, make_operator(session))
    html = {"accept": "text/html", "accept-language": "en"}

    page = shop.client.get("/admin/papers", headers=html)
    listed = shop.client.get("/admin/papers?format=csv").text

    assert operator
    assert page.status_code == 200
    assert page.text.count("Invoice to a team") == 2
    assert page.text.count(">Acme<") == 4
    assert "Taken back by CN-2026-00001" in page.text
    assert "In part taken back by CN-2026-00002" in page.text
    assert "/credit" not in page.text
    assert orders[0]["payment_id"] in listed
