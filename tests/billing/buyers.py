"""Teams that pay for a plan, and a price list with more of them."""

import json
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from flowlink.billing import charges, ids, limits, payday, plans, pricing, queries, refunds
from flowlink.billing.models import Payment, Resource
from flowlink.billing.purchases import Bought
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock
from flowlink.teams.models import Team

DAY = timedelta(days=1)
MONTH = timedelta(days=30)


def price_list() -> dict[str, Any]:
    """The packaged one, with a greater plan and a smaller one without add-ons."""
    specs: dict[str, Any] = json.loads(pricing.PACKAGED.read_text())
    specs["plans"]["max"] = {
        "name": {"en": "Max", "fr": "Max"},
        "price_minor": 2900,
        "limits": {"cpu_cores": 12, "memory_mb": 16384, "traffic_gb": 50, "storage_mb": 51200},
        "addons": True,
    }
    specs["plans"]["lite"] = {
        "name": {"en": "Lite", "fr": "Lite"},
        "price_minor": 500,
        "limits": {"cpu_cores": 2, "memory_mb": 2048, "traffic_gb": 5, "storage_mb": 5120},
        "addons": False,
    }
    return specs


class Buyer:
    """A team on a plan it pays for, and the moment at which its period began."""

    def __init__(self, session: Session, team: Team, card: Card = Card.GOOD) -> None:
        self.session, self.team = session, team
        self.start = clock.now()
        first = self.order("pro", self.start)
        assert first is not None
        self.first = first.payment.id
        self.pay(self.first, self.start, card)
        self.end = self.running().expires_at or self.start

    def order(self, plan: str, now: datetime) -> Bought | None:
        found = plans.order(self.session, team=self.team, plan=plan, actor="test", now=now)
        self.session.flush()
        return found

    def pay(self, payment_id: Any, now: datetime, card: Card = Card.GOOD) -> None:
        url = charges.checkout(team_id=self.team.id, payment_id=payment_id, now=now)
        payday.pay(url.rpartition("/")[2], card=card, now=now)
        self.session.expire_all()

    def changed(self, plan: str, now: datetime) -> Payment:
        """Ordered and paid."""
        bought = self.order(plan, now)
        assert bought is not None
        key = bought.payment.id
        self.pay(key, now)
        return self.session.get_one(Payment, key)

    def running(self) -> Resource:
        self.session.expire_all()
        found = queries.plan_of(self.session, self.team.id)
        assert found is not None
        return found

    def cpu(self, at: datetime) -> int:
        self.session.expire_all()
        return limits.at(self.session, self.team.id, at).total.cpu_cores

    def give_back(self, payment_id: Any, now: datetime) -> None:
        payment = self.session.get_one(Payment, payment_id)
        refunds.ask(
            self.session,
            payment_id=payment_id,
            amount=payment.amount,
            reason="asked",
            actor="test",
            now=now,
        )
        self.session.flush()
        charges.refund(ids.PaymentId(payment_id), now=now)
        self.session.expire_all()
