"""The console's desk and the pages about payments in a browser: sound, in both widths."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from playwright.sync_api import Browser
from sqlalchemy.orm import Session

from flowlink.billing import charges, ids, payday, purchases, queries
from flowlink.billing.models import Payment
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock, db
from flowlink.payouts import runs
from flowlink.teams.models import Team
from tests.conftest import Live
from tests.factories import Person, make_operator, make_partner, make_person
from tests.flows.browsing import browser, tab
from tests.flows.people import eventually
from tests.flows.test_inbox_browser import ENGLISH_DESKTOP, FRENCH_PHONE, enter
from tests.insights.test_admin_desk import complain, fail, hold, lose
from tests.payouts.acts import ask
from tests.payouts.makers import IBAN
from tests.payouts.run_acts import propose, set_up
from tests.teams.makers import make_team

DESK = ("/admin/monitoring", "/admin/inbox", "/admin/inbox?queue=holds", "/admin/losses")
RUNS = ("/ops/payouts/runs", "/ops/payouts/answers")
SOLD = ("/admin/teams", "/admin/payments")
TEAM = (
    "/teams",
    "/teams/acme",
    "/teams/acme/members",
    "/teams/acme/addons",
    "/teams/acme/addons/order?kind=cpu&quantity=1",
    "/teams/acme/billing",
    "/teams/acme/keys",
    "/teams/acme/danger",
)


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture(autouse=True)
def both_rails(live: Live) -> Iterator[None]:
    with set_up():
        yield


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_the_desk_is_sound(live: Live, started: Browser, settings: dict[str, Any]) -> None:
    now = clock.now()
    with db.write() as session:
        boss, ada = make_operator(session), make_partner(session, available="50.00")
        what_waits(session, ada, now=now)
        run = f"{RUNS[0]}/{a_run(session, now=now)}"
    shop()

    with tab(started, live.url, **settings) as made:
        enter(made, boss)
        for path in (*DESK, *RUNS, run, *SOLD):
            made.open(path)


@pytest.mark.parametrize("settings", [FRENCH_PHONE, ENGLISH_DESKTOP], ids=["fr", "en"])
def test_a_teams_pages_are_sound(live: Live, started: Browser, settings: dict[str, Any]) -> None:
    owner, unpaid = shop()

    with tab(started, live.url, **settings) as made:
        enter(made, owner)
        for path in (*TEAM, f"/sandbox/pay/{unpaid}"):
            made.open(path)


def what_waits(session: Session, ada: Person, *, now: datetime) -> None:
    """Something in the queues of people, sales, the house and journals."""
    hold(session, make_partner(session), now)
    complain(session, ada, now)
    fail(session, "ledger_check", ok=False, now=now)
    lose(session, now)


def a_run(session: Session, *, now: datetime) -> str:
    """A withdrawal to a bank in a run that waits for its release; the run's number."""
    ask(session, make_partner(session, available="50.00"), rail="bank", details=IBAN, now=now)
    return runs.public(propose(session, now=now).id)


def shop() -> tuple[Person, str]:
    """The owner of a team with a plan and an add-on, and the payment that is left open."""
    with db.write() as session:
        owner = make_person(session)
        team = make_team(session, owner)
        bought = purchases.buy_plan(session, team=team, plan="pro", actor="test", now=clock.now())
    open_payment(team, bought.payment)
    for kind in ("ram", "storage"):
        pay(bought.payment)
        with db.write() as session:
            bought = purchases.buy_addon(
                session, team=team, kind=kind, quantity=2, actor="test", now=clock.now()
            )
        open_payment(team, bought.payment)
    return owner, ids.payment(bought.payment.id)


def open_payment(team: Team, payment: Payment) -> None:
    charges.checkout(team_id=team.id, payment_id=ids.PaymentId(payment.id), now=clock.now())


def pay(payment: Payment) -> None:
    """Until it is booked, which the server's own worker may be doing."""
    payday.pay(ids.payment(payment.id), card=Card.GOOD, now=clock.now())
    eventually(lambda: status_of(payment) if status_of(payment) == "paid" else None)


def status_of(payment: Payment) -> str:
    with db.read() as session:
        return str(queries.payment(session, payment_id=payment.id).status)
