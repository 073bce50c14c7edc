"""A team that came through a partner's link and pays is a conversion like any other."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.app import checks
from flowlink.billing import charges, ids, payday, purchases, refunds
from flowlink.billing.models import Payment
from flowlink.billing.sandbox import Card
from flowlink.identity import service as identity
from flowlink.identity.deps import ORIGIN_COOKIE
from flowlink.insights import own_sales
from flowlink.kernel import clock, jobs
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger
from flowlink.ledger.accounts import AccountKind, account
from flowlink.partners.models import Partner
from flowlink.teams import service as teams
from flowlink.teams.models import Team
from flowlink.tracking import arrivals
from flowlink.tracking.arrival_models import Arrival
from flowlink.tracking.models import Network
from tests.factories import Person, balance, make_person, sign_in
from tests.tracking.makers import Shop, conversions, make_click, make_shop

DAY = timedelta(days=1)
CENT = 10_000


@dataclass
class Story:
    """A partner with a link, and a visitor who has an account."""

    session: Session
    shop: Shop
    visitor: Person
    now: datetime

    def click(self, at: datetime | None = None) -> str:
        return make_click(self.session, self.shop, at or self.now)

    def team(self, at: datetime | None = None) -> Team:
        """The visitor's, made a moment after the click."""
        made = teams.create(
            self.session,
            owner_id=self.visitor.user_id,
            slug="acme",
            name="Acme",
            actor="test",
            now=at or self.now + timedelta(minutes=1),
        )
        own_sales.attribute(self.session, team_id=made.id)
        return made

    def pays(self, team: Team, at: datetime | None = None, card: Card = Card.GOOD) -> Payment:
        """The plan Pro, and the partner's side hears of it."""
        now = at or self.now + timedelta(minutes=2)
        bought = purchases.buy_plan(self.session, team=team, plan="pro", actor="test", now=now)
        charges.checkout(team_id=team.id, payment_id=bought.payment.id, now=now)
        payday.pay(ids.payment(bought.payment.id), card=card, now=now)
        return self.heard(bought.payment.id, now)

    def heard(self, payment_id: UUID, now: datetime) -> Payment:
        self.session.expire_all()
        own_sales.tell(self.session, payment_id=payment_id, now=now)
        return self.session.get_one(Payment, payment_id)

    def earned(self) -> list[str]:
        """Available, reserved and held."""
        partner = Person(self.visitor.user_id, "", self.shop.partner_id)
        return [balance(self.session, partner, kind) for kind in ("available", "reserve", "held")]


@pytest.fixture
def story(session: Session) -> Story:
    now = clock.now()
    return Story(session, make_shop(session, now=now), make_person(session), now)


@pytest.fixture(autouse=True)
def books_are_right(session: Session) -> Iterator[None]:
    yield
    assert checks.problems(session) == []


def keep(story: Story, token: str, at: datetime | None = None) -> bool:
    return arrivals.keep(
        story.session, user_id=story.visitor.user_id, token=token, now=at or story.now
    )


def test_a_payment_becomes_commission_in_the_same_step(story: Story) -> None:
    keep(story, story.click())

    payment = story.pays(story.team())

    assert payment.net_minor == 750
    assert conversions(story.session) == [("approved", 750, 1)]
    assert story.earned() == ["3.15 EUR", "1.35 EUR", "0.00 EUR"]


def test_the_house_pays_itself(story: Story) -> None:
    """Income is what the team paid; what the partner got of it is expense; nothing else is left."""
    keep(story, story.click())
    story.pays(story.team())
    network = story.session.scalars(select(Network.id).where(Network.name == "servelink")).one()

    def has(kind: AccountKind, owner: UUID | None = None) -> int:
        return ledger.balance(story.session, account(kind, owner)).micro // CENT

    assert has(AccountKind.NETWORK_RECEIVABLE, network) == 0
    assert has(AccountKind.COMMISSION_EXPENSE) + has(AccountKind.REVENUE) == -450


def test_hearing_it_again_changes_nothing(story: Story) -> None:
    keep(story, story.click())
    payment = story.pays(story.team())

    story.heard(payment.id, story.now + DAY)

    assert conversions(story.session) == [("approved", 750, 1)]
    assert story.earned() == ["3.15 EUR", "1.35 EUR", "0.00 EUR"]


@pytest.mark.parametrize(
    ("amount", "status", "left", "earned"),
    [
        ("4.50", "approved", 375, ["1.58 EUR", "0.68 EUR", "0.00 EUR"]),
        ("9.00", "reversed", 750, ["0.00 EUR", "0.00 EUR", "0.00 EUR"]),
    ],
)
def test_a_refund_takes_its_part_back(
    story: Story, amount: str, status: str, left: int, earned: list[str]
) -> None:
    keep(story, story.click())
    payment = story.pays(story.team())

    refunds.ask(
        story.session,
        payment_id=payment.id,
        amount=Money.parse(amount),
        reason="test",
        actor="test",
        now=story.now,
    )
    charges.refund(payment.id, now=story.now)
    story.heard(payment.id, story.now + DAY)

    assert conversions(story.session) == [(status, left, 2)]
    assert story.earned() == earned


@pytest.mark.parametrize(
    ("end", "earned"),
    [
        ("won", ["3.15 EUR", "1.35 EUR", "0.00 EUR"]),
        ("lost", ["0.00 EUR", "0.00 EUR", "0.00 EUR"]),
    ],
)
def test_a_dispute_sets_the_commission_apart(story: Story, end: str, earned: list[str]) -> None:
    keep(story, story.click())
    payment = story.pays(story.team(), card=Card.DISPUTED)
    assert story.earned() == ["0.00 EUR", "0.00 EUR", "4.50 EUR"]

    payday.dispute(ids.payment(payment.id), to=end, now=story.now + DAY)
    story.heard(payment.id, story.now + DAY)

    assert story.earned() == earned


@pytest.mark.parametrize(("after", "count"), [(90 * DAY, 0), (90 * DAY - timedelta(minutes=5), 1)])
def test_a_click_counts_for_ninety_days(story: Story, after: timedelta, count: int) -> None:
    keep(story, story.click())
    team = story.team(story.now + timedelta(minutes=1))

    story.pays(team, story.now + after)

    assert len(conversions(story.session)) == count


def test_the_latest_click_before_the_team_counts(story: Story) -> None:
    other = make_shop(story.session, now=story.now)
    keep(story, make_click(story.session, other, story.now - DAY))
    keep(story, story.click())
    team = story.team()
    keep(story, make_click(story.session, other, story.now + DAY), story.now + DAY)

    story.pays(team, story.now + 2 * DAY)

    assert story.earned()[0] == "3.15 EUR"


def test_nobody_brings_themselves(story: Story) -> None:
    own = story.session.get_one(Partner, story.shop.partner_id).user_id

    kept = arrivals.keep(story.session, user_id=own, token=story.click(), now=story.now)

    assert kept is False


@pytest.mark.parametrize("token", ["", "x" * 36, "0" * 36])
def test_what_is_no_click_of_ours_is_not_kept(story: Story, token: str) -> None:
    assert keep(story, token) is False


def test_a_visitor_keeps_their_click_until_they_sign_in(client: TestClient, story: Story) -> None:
    token = story.click()
    client.get("/go", params={"subid": token})
    assert client.cookies[ORIGIN_COOKIE] == token

    sign_in(client, story.visitor)
    client.get("/teams")

    assert ORIGIN_COOKIE not in client.cookies
    kept = story.session.scalars(select(Arrival)).one()
    assert (kept.user_id, kept.token) == (story.visitor.user_id, token)


@pytest.mark.parametrize(
    ("token", "headers"), [("rubbish", {}), (None, {"sec-gpc": "1"})], ids=["forged", "asks not to"]
)
def test_no_cookie_is_set_for_nothing(
    client: TestClient, story: Story, token: str | None, headers: dict[str, str]
) -> None:
    client.get("/go", params={"subid": token or story.click()}, headers=headers)

    assert ORIGIN_COOKIE not in client.cookies


def test_the_mailed_link_carries_it_to_another_device(client: TestClient, story: Story) -> None:
    token = story.click()
    url = identity.mail_link(
        story.session,
        email=story.visitor.email,
        area="user",
        lang="en",
        ip="203.0.113.1",
        origin=token,
        now=story.now,
    )

    client.post(url.removeprefix("http://testserver"))
    jobs.run_pending(story.now)

    assert story.session.scalars(select(Arrival.token)).one() == token
