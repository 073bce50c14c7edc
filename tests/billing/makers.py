"""Teams that buy, as tests need them."""

from datetime import datetime
from typing import Any

from fastapi.testclient import TestClient
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.billing import ids, payday, pricing, purchases
from flowlink.billing.models import Pricing, Resource, Status
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock
from flowlink.teams.models import Team
from tests.teams.makers import make_team, team_key


def pro_team(session: Session, slug: str = "acme", now: datetime | None = None) -> Team:
    """A team that the operator gave the plan Pro."""
    team = make_team(session, slug=slug)
    purchases.give_plan(session, team=team, plan="pro", actor="test", now=now or clock.now())
    session.flush()
    return team


class Shop:
    """A program that buys for a team."""

    def __init__(self, client: TestClient, session: Session, team: Team) -> None:
        self.client, self.session, self.team = client, session, team
        self.headers = team_key(session, team)
        self.base = f"/api/resources/{team.slug}"

    def buy(self, kind: str, quantity: int = 1, **headers: str) -> Any:
        return self.client.post(
            f"{self.base}/purchase",
            json={"resource_type": kind, "quantity": quantity},
            headers=self.headers | headers,
        )

    def bought(self, kind: str, quantity: int = 1, card: Card = Card.GOOD) -> dict[str, Any]:
        """Bought and paid."""
        order: dict[str, Any] = self.buy(kind, quantity).json()
        self.pay(order["payment_id"], card)
        return order

    def pay(self, ref: str, card: Card = Card.GOOD, copies: int = 1) -> None:
        payday.pay(ref, card=card, copies=copies, now=clock.now())
        self.session.expire_all()

    def get(self, what: str) -> Any:
        answer = self.client.get(f"{self.base}/{what}", headers=self.headers)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def cancel(self, resource_id: str) -> Any:
        return self.client.delete(f"{self.base}/cancel/{resource_id}", headers=self.headers)

    def status(self, resource_id: str) -> str:
        """Of one add-on, as the API tells it."""
        found = {one["id"]: one["status"] for one in self.get("list")["resources"]}
        return str(found[resource_id])


def key_of(order: dict[str, Any]) -> ids.PaymentId:
    """The payment of an order."""
    return ids.parse_payment(order["payment_id"])


def addon(session: Session, team: Team, kind: str, now: datetime) -> Resource:
    """An add-on that was ordered by hand, without a payment or a grant."""
    specs = pricing.current()
    seen = insert(Pricing).values(digest=specs.digest, specs=specs.model_dump(), seen_at=now)
    session.execute(seen.on_conflict_do_nothing())
    made = Resource(
        team_id=team.id,
        kind=kind,
        plan="",
        quantity=1,
        next_quantity=1,
        unit_price_minor=200,
        currency=specs.currency,
        pricing=specs.digest,
        status=Status.ACTIVE,
        auto_renew=False,
        created_at=now,
        **specs.addons[kind].gives.model_dump(),  # type: ignore[index]
    )
    session.add(made)
    session.flush()
    return made
