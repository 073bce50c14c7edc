"""Seeded histories of sales, deals, disputes, holds, releases and withdrawals against the model.

The target `histories` runs 10,000 of them; the usual tests run a few.
"""

import random
import sys
from datetime import timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.app import startup
from flowlink.kernel import clock, db, policy as policies, settings
from flowlink.kernel.money import Money
from flowlink.payouts import (
    commissions,
    deals,
    disputes,
    holds,
    queries,
    reserve,
    service as payouts,
)
from flowlink.payouts.deals import Agreement, Scope
from flowlink.payouts.terms import Tier
from flowlink.risk import service as risk
from flowlink.tracking.models import Conversion, Status
from tests.cluster import start_cluster
from tests.conftest import test_settings
from tests.factories import make_partner
from tests.payouts.engine_model import Model, Rules, Sale
from tests.payouts.makers import DAY, assert_clean, become, convert

BATCH = 50
STEPS = 14
EURO = 1_000_000


class Play:
    """The product and the model, driven by the same seeded steps."""

    def __init__(self, session: Session, seed: int) -> None:
        self.session = session
        self.dice = random.Random(seed)  # noqa: S311 - a history, not a secret
        self.now = DAY
        self.person = make_partner(session)
        self.model = Model()
        self.rules = Rules()
        self.version = 0
        self.sales: list[tuple[UUID, Sale]] = []
        self.open: dict[UUID, UUID] = {}

    def step(self) -> None:
        """One thing that happens, chosen by the dice; then both say the same."""
        acts = (self.sell, self.sell, self.change, self.agree, self.dispute, self.decide)
        more = (self.release, self.hold, self.withdraw, self.wait)
        self.dice.choice(acts + more)()
        self.compare()

    def sell(self) -> None:
        status = self.dice.choice(["pending", "approved", "approved"])
        amount = Money(self.dice.choice([0, 7, self.dice.randint(1, 400 * EURO)]))
        sale_id = convert(self.session, self.person, "0.00", status=Status(status), at=self.now)
        conversion = self.session.get_one(Conversion, sale_id)
        become(self.session, sale_id, Status(status), amount.micro, at=self.now)
        month = conversion.occurred_at.year, conversion.occurred_at.month
        sale = Sale(self.rules, month)
        self.sales.append((sale_id, sale))
        self.model.sales.append(sale)
        self.post()
        self.model.become(sale, status, 0, self.now.date())
        self.model.become(sale, status, amount.micro, self.now.date())

    def change(self) -> None:
        if not self.sales:
            return
        sale_id, sale = self.dice.choice(self.sales)
        status = self.dice.choice(["approved", "approved", "rejected", "reversed"])
        amount = self.dice.randint(0, 400 * EURO)
        become(self.session, sale_id, Status(status), amount, at=self.now)
        self.post()
        self.model.become(sale, status, amount, self.now.date())
        if not sale.disputed:
            self.open.pop(sale_id, None)

    def agree(self) -> None:
        tiers = sorted(self.dice.sample(range(1, 600), self.dice.randint(0, 2)))
        rising = tuple((start * EURO, 6000 + 700 * n) for n, start in enumerate(tiers, 1))
        self.rules = Rules(
            share=self.dice.choice([3000, 6000, 6667]),
            reserve=self.dice.choice([0, 1500, 3000]),
            days=self.dice.choice([7, 30]),
            cap=self.dice.choice([None, 150 * EURO]),
            tiers=rising,
            marginal=self.dice.random() < 0.5,
        )
        given = Agreement(
            share_bps=self.rules.share,
            reserve_bps=self.rules.reserve,
            release_days=self.rules.days,
            cap_month=None if self.rules.cap is None else Money(self.rules.cap),
            tiers=tuple(Tier(*tier) for tier in rising),
            marginal=self.rules.marginal,
        )
        made = deals.agree(
            self.session,
            scope=Scope(partner_id=self.person.partner_id),
            agreement=given,
            version=self.version,
            reason="a history",
            actor="test",
            now=self.now,
        )
        self.version = made.version

    def dispute(self) -> None:
        free = [each for each in self.sales if each[1].share and not each[1].disputed]
        if not free:
            return
        sale_id, sale = self.dice.choice(free)
        made = disputes.open_dispute(
            self.session,
            conversion_id=sale_id,
            reference=f"CB-{self.dice.random()}",
            actor="test",
            now=self.now,
        )
        self.open[sale_id] = made.id
        self.model.dispute(sale)

    def decide(self) -> None:
        if not self.open:
            return
        sale_id = self.dice.choice(sorted(self.open))
        sale = next(sale for key, sale in self.sales if key == sale_id)
        decided = {"dispute_id": self.open.pop(sale_id), "actor": "test", "now": self.now}
        if self.dice.random() < 0.5:
            disputes.win(self.session, **decided)  # type: ignore[arg-type]
            self.model.win(sale, self.now.date())
            return
        disputes.lose(self.session, **decided)  # type: ignore[arg-type]
        self.model.become(sale, "reversed", 0, self.now.date())

    def release(self) -> None:
        reserve.release(self.session, now=self.now)
        self.model.release(self.now.date())

    def hold(self) -> None:
        by = {"partner_id": self.person.partner_id, "actor": "test", "now": self.now}
        if not self.model.on_hold:
            numbers = policies.at(self.session, self.now)
            risk.place_hold(self.session, reason="why", evidence={}, policy=numbers, **by)  # type: ignore[arg-type]
            self.model.on_hold = True
            return
        (lifted,) = risk.lift_hold(self.session, reason="fine", **by)  # type: ignore[arg-type]
        holds.give_held(
            self.session, partner_id=self.person.partner_id, hold_id=lifted.id, now=self.now
        )
        self.model.on_hold = False
        self.model.available += self.model.held
        self.model.held = 0

    def withdraw(self) -> None:
        amount = Money(self.model.available).floor_cents()
        if self.model.on_hold or amount < Money.from_cents(1000):
            return
        payouts.request_withdrawal(
            self.session,
            partner_id=self.person.partner_id,
            amount=amount,
            rail="paypal",
            details="ada@example.org",
            policy=policies.at(self.session, self.now),
            now=self.now,
        )
        self.model.available -= amount.micro
        self.model.withdrawing += amount.micro

    def wait(self) -> None:
        self.now += timedelta(days=self.dice.choice([1, 5, 12, 31]))

    def post(self) -> None:
        commissions.post_revisions(self.session, now=self.now)

    def compare(self) -> None:
        found = queries.balances(self.session, self.person.partner_id)
        told = (found.available, found.held, found.debt, found.withdrawing, found.reserved)
        model = self.model
        held = model.held + model.apart
        wanted = (model.available, held, model.debt, model.withdrawing, model.reserve)
        assert tuple(each.micro for each in told) == wanted
        assert found.pending.micro == sum(sale.pending for sale in model.sales)


def run(session: Session, seeds: range) -> None:
    """Every one of these histories, each undone after its proof."""
    for seed in seeds:
        nested = session.begin_nested()
        play = Play(session, seed)
        for _ in range(STEPS):
            play.step()
        assert_clean(session)
        nested.rollback()
        session.expire_all()


def main(first: int, count: int) -> None:
    """The long run, on a server of its own."""
    settings.use(test_settings())
    with start_cluster() as started:
        db.connect(started.url("flowlink"))
        startup.seed(now=clock.now())
        for start in range(first, first + count, BATCH):
            seeds = range(start, min(start + BATCH, first + count))
            with db.write() as session:
                run(session, seeds)
            sys.stdout.write(f"{seeds.stop - first} of {count} histories end as the model says\n")
            sys.stdout.flush()
        db.disconnect()


if __name__ == "__main__":
    main(*(int(word) for word in sys.argv[1:3]))
