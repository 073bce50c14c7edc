"""Seeded histories of provider events, each delivered 1 to 5 times in any order.

`python -m tests.payouts.chaos` runs 10,000 of them; a test runs a few hundred.
"""

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import inbound
from flowlink.kernel.inbound import ProviderEvent
from flowlink.kernel.money import Money
from flowlink.payouts import bank_answers, paypal_runs, runs
from flowlink.payouts.models import Rail, Withdrawal
from flowlink.payouts.run_models import Run
from tests.factories import Person, balance_micro, give, make_partner
from tests.payouts.acts import ask
from tests.payouts.bank_says import Booking, report, statement
from tests.payouts.makers import DAY, IBAN
from tests.payouts.run_acts import Teller, item_of, propose

COPIES_MAX = 5
PATHS: dict[Rail, tuple[tuple[str, ...], ...]] = {
    Rail.PAYPAL: (
        ("PENDING", "SUCCESS"),
        ("PENDING", "FAILED"),
        ("PENDING", "BLOCKED"),
        ("PENDING", "ONHOLD", "SUCCESS"),
        ("PENDING", "ONHOLD", "FAILED"),
        ("PENDING", "UNCLAIMED"),
        ("PENDING", "UNCLAIMED", "SUCCESS"),
        ("PENDING", "UNCLAIMED", "RETURNED"),
        ("PENDING", "SUCCESS", "REFUNDED"),
        ("PENDING", "ONHOLD", "SUCCESS", "REVERSED"),
    ),
    Rail.BANK: (
        ("ACSP", "DBIT"),
        ("RJCT",),
        ("ACTC", "RJCT"),
        ("ACTC", "ACSP", "DBIT", "CRDT"),
        ("DBIT", "CRDT"),
        ("ACCP",),
    ),
}


@dataclass(frozen=True)
class End:
    """Where a history has led, to the millionth."""

    state: str
    available: int
    withdrawing: int


@dataclass
class History:
    """One withdrawal on its way, and the provider that speaks of it."""

    session: Session
    rail: Rail
    person: Person
    withdrawal: Withdrawal
    run: Run
    name: str
    path: tuple[str, ...]
    teller: Teller

    def happen(self, place: int) -> None:
        """At the provider: nobody has told us yet."""
        self.teller.says[self.name] = self.path[place]

    def deliver(self, place: int) -> None:
        """We are told of one step, once more or for the first time."""
        if self.rail is Rail.BANK:
            body = _bank_file(self.run, self.name, place, self.path[place])
            bank_answers.take_in(self.session, body=body, name="b", actor="test", now=DAY)
            self.session.flush()
        else:
            self._event(place)

    def end(self) -> End:
        self.session.flush()
        self.session.expire_all()
        return End(
            str(self.withdrawal.state),
            balance_micro(self.session, self.person, "available"),
            balance_micro(self.session, self.person, "withdrawing"),
        )

    def _event(self, place: int) -> None:
        name = f"WH-{self.name}-{place}"
        kind, resource = "PAYMENT.PAYOUTS-ITEM.X", {"payout_item_id": self.name}
        body = json.dumps({"id": name, "event_type": kind, "resource": resource}).encode()
        inbound.keep(self.session, provider="paypal", event_id=name, kind=kind, body=body, now=DAY)
        self.session.flush()
        found = select(ProviderEvent.id).where(ProviderEvent.event_id == name)
        key = self.session.scalars(found).one()
        paypal_runs.handle(self.teller, event_key=key, now=DAY)
        self.session.expire_all()


def begin(session: Session, rail: Rail, path: tuple[str, ...], now: datetime = DAY) -> History:
    """A withdrawal of 20.00 that has just been released, with odd millionths left behind."""
    person = make_partner(session)
    give(session, person, Money(50_000_001))
    details = IBAN if rail is Rail.BANK else "ada@example.org"
    withdrawal = ask(session, person, rail=rail.value, details=details)
    run = propose(session, rail)
    runs.release(session, run_id=run.id, sha256=run.sha256, actor="secret", person=None, now=now)
    name = item_of(session, withdrawal).end_to_end_id
    return History(session, rail, person, withdrawal, run, name, path, Teller(run))


def in_order(session: Session, rail: Rail, path: tuple[str, ...]) -> End:
    """Where the history leads when each step is told once, as it happens."""
    history = begin(session, rail, path)
    for place in range(len(path)):
        history.happen(place)
        history.deliver(place)
    return history.end()


def shuffled(session: Session, seed: int) -> tuple[str, End, End]:
    """One seeded history: what it was, where it led, and where it leads in order."""
    chance = random.Random(seed)  # noqa: S311  (repeatable on purpose)
    rail = chance.choice(list(Rail))
    path = chance.choice(PATHS[rail])
    history = begin(session, rail, path)
    for act, place in _timetable(chance, len(path)):
        if act == "happen":
            history.happen(place)
        else:
            history.deliver(place)
    return f"{seed}: {rail} {path}", history.end(), _expected(session, rail, path)


def _timetable(chance: random.Random, steps: int) -> Sequence[tuple[str, int]]:
    """What happens stays in order; what is told comes any time after it happened, 1 to 5 times."""
    acts: list[tuple[float, str, int]] = []
    for place in range(steps):
        acts.append((place, "happen", place))
        times = [
            chance.uniform(place + 0.1, steps + 1) for _ in range(chance.randint(1, COPIES_MAX))
        ]
        acts += [(time, "deliver", place) for time in times]
    return [(act, place) for _, act, place in sorted(acts)]


_known: dict[tuple[Rail, tuple[str, ...]], End] = {}


def _expected(session: Session, rail: Rail, path: tuple[str, ...]) -> End:
    if (rail, path) not in _known:
        _known[rail, path] = in_order(session, rail, path)
    return _known[rail, path]


def _bank_file(run: Run, name: str, place: int, says: str) -> bytes:
    if says in {"DBIT", "CRDT"}:
        reason = "AC04" if says == "CRDT" else ""
        booking = Booking(name, says=says, reference=f"{says}-{name}", reason=reason)
        return statement(booking, name=f"S{place}-{name}")
    orders = [(name, says, "AC01" if says == "RJCT" else "")]
    return report(str(run.message_id), orders=orders, name=f"R{place}-{name}")
