"""A fake Stripe on a port, our product set up for it, and a team that buys with it."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from uuid import UUID

import httpx2
from sqlalchemy.orm import Session

from flowlink.app import registry, server
from flowlink.billing import (
    charges,
    ids,
    inbox,
    purchases,
    stripe_api,
    stripe_events,
    stripe_rows as rows,
)
from flowlink.billing.fakestripe.server import FakeStripe, signed
from flowlink.billing.fakestripe.state import stamp
from flowlink.billing.fakestripe.things import Thing
from flowlink.billing.models import Payment, Resource
from flowlink.billing.stripe_models import StripeCharge
from flowlink.kernel import clock, db
from flowlink.teams.models import Team
from tests.conftest import chosen_settings
from tests.factories import free_port


@contextmanager
def serving(app: object, port: int) -> Iterator[None]:
    """An ASGI app on a port while the block runs."""
    running = server.Server(server.config(app))
    sockets = {"sockets": [server.listen("127.0.0.1", port)]}
    thread = threading.Thread(target=running.run, kwargs=sockets)
    thread.start()
    try:
        while not running.started:
            time.sleep(0.005)
        yield
    finally:
        running.should_exit = True
        thread.join(10)


@dataclass
class Till:
    """The fake, and what a customer and we do with it."""

    fake: FakeStripe
    url: str
    told: list[Thing] = field(default_factory=list)

    def order(self, team: Team, *, kind: str = "cpu", now: datetime | None = None) -> ids.PaymentId:
        """An add-on, ordered and not paid."""
        with db.write() as session:
            bought = purchases.buy_addon(
                session, team=team, kind=kind, quantity=1, actor="test", now=now or clock.now()
            )
        return ids.PaymentId(bought.payment.id)

    def checkout(self, payment_id: UUID, *, now: datetime | None = None) -> str:
        """The page to pay on."""
        with db.read() as session:
            team_id = session.get_one(Payment, payment_id, populate_existing=True).team_id
        return charges.checkout(team_id=team_id, payment_id=payment_id, now=now or clock.now())

    def press(self, url: str, card: str = "4242", *, confirmed: bool = False) -> str:
        """The customer on the page, over the wire: where they come to."""
        form = {"card": card} | ({"confirmed": "on"} if confirmed else {})
        answer = httpx2.post(url, data=form, follow_redirects=False)
        assert answer.status_code == 303, answer.text
        return str(answer.headers["location"])

    def deliver(self, *, now: datetime | None = None) -> int:
        """What the fake owes, as its knobs let it, through our door; then it is handled."""
        now = now or clock.now()
        events = self.fake.ledger.take_owed()
        for event in events:
            self.hear(event, now=now)
        inbox.handle_due(stripe_events.NAME, now=now)
        return len(events)

    def hear(self, event: Thing, *, now: datetime) -> bool:
        body, headers = signed(event, self.fake.webhook_secret, at=stamp(now))
        return inbox.receive(stripe_events.NAME, headers, body, now=now)

    def bought(self, team: Team, card: str = "4242", kind: str = "cpu") -> ids.PaymentId:
        """Bought, paid and heard of."""
        payment_id = self.order(team, kind=kind)
        self.press(self.checkout(payment_id), card)
        self.deliver()
        return payment_id

    def charges(self) -> list[Thing]:
        """Every time money moved to us."""
        return self.fake.ledger.every("charge")

    def charged(self, ref: str) -> int:
        """How often this was charged."""
        return sum(one["metadata"].get("ref") == ref for one in self.charges())


@contextmanager
def till(fake: FakeStripe | None = None, **settings: object) -> Iterator[Till]:
    """Stripe is set up, and is the fake."""
    fake, url = fake or FakeStripe(), f"http://127.0.0.1:{(port := free_port())}"
    chosen = {
        "payment_provider": "stripe",
        "stripe_secret_key": fake.key,
        "stripe_webhook_secret": fake.webhook_secret,
        "stripe_url": url,
    }
    registry.load()
    with serving(fake, port), chosen_settings(**(chosen | settings)):
        stripe_api._client.cache_clear()
        yield Till(fake, url)
    stripe_api._client.cache_clear()


def resource_of(session: Session, payment_id: UUID) -> Resource:
    """What was bought, as it is now."""
    payment = payment_now(session, payment_id)
    return session.get_one(Resource, payment.resource_id, populate_existing=True)


def payment_now(session: Session, payment_id: UUID) -> Payment:
    return session.get_one(Payment, payment_id, populate_existing=True)


def row_of(payment_id: ids.PaymentId) -> StripeCharge:
    """What is written down of its first attempt."""
    found = rows.find(ids.payment(payment_id))
    assert found is not None
    return found
