"""A thousand purchases whose messages come shuffled, twice and late, against the orderly run.

The target `webhooks` plays a thousand; the usual tests play a few.
"""

import random
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import text

from flowlink.app import checks
from flowlink.billing import charges, ids, inbox, purchases, sandbox
from flowlink.billing.sandbox import Card, Webhook
from flowlink.kernel import db, settings
from flowlink.teams.models import Team
from tests.billing.makers import pro_team
from tests.cluster import start_cluster
from tests.conftest import test_settings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
DUPLICATES, LATE = 0.3, 0.1

STATE = text(
    """
    SELECT p.status, p.amount_minor, p.refunded_minor, p.dispute, p.undeferred_micro, r.status,
           r.kind, r.quantity, g.cpu_cores, g.memory_mb, v.voided_at
      FROM billing_payment p JOIN billing_resource r ON r.id = p.resource_id
      LEFT JOIN billing_grant g ON g.payment_id = p.id
      LEFT JOIN billing_grant_void v ON v.grant_id = g.id
     ORDER BY p.id
    """
)
BALANCES = text(
    """
    SELECT a.kind, CASE a.kind WHEN 'deferred' THEN '' ELSE a.owner END, sum(b.balance)::bigint
      FROM ledger_account a JOIN ledger_balance b ON b.account = a.number
     GROUP BY 1, 2 ORDER BY 1, 2
    """
)


def buy_many(count: int) -> list[str]:
    """So many add-ons, ordered by many teams: the names of their charges."""
    dice = random.Random(7)  # noqa: S311
    refs = []
    with db.write() as session:
        teams: list[Team] = [pro_team(session, slug=f"team-{n}", now=NOW) for n in range(20)]
    for number in range(count):
        with db.write() as session:
            bought = purchases.buy_addon(
                session,
                team=teams[number % len(teams)],
                kind=dice.choice(["ram", "traffic"]),
                quantity=1,
                actor="test",
                now=NOW,
            )
        key = ids.PaymentId(bought.payment.id)
        charges.checkout(team_id=bought.payment.team_id, payment_id=key, now=NOW)
        refs.append(ids.payment(key))
    return refs


def play(refs: Sequence[str]) -> list[list[Webhook]]:
    """What happens to each charge at the provider; all that it tells about it, in order."""
    dice = random.Random(8)  # noqa: S311
    told = []
    for ref in refs:
        with db.write() as session:
            card = Card.DECLINED if dice.random() < 0.1 else Card.GOOD
            charge = sandbox.pay(session, ref, card=card, confirmed=True, now=NOW)
            messages = [sandbox.webhook(charge, now=NOW)]
            if charge.status == "paid" and dice.random() < 0.2:
                charge.refunded_minor = dice.choice([30, charge.amount_minor])
                messages.append(sandbox.webhook(charge, now=NOW))
            elif charge.status == "paid" and dice.random() < 0.2:
                for step in ("open", dice.choice(["won", "lost"])):
                    charge = sandbox.decide(session, ref, dispute=step, now=NOW)
                    messages.append(sandbox.webhook(charge, now=NOW))
        told.append(messages)
    return told


def deliver(messages: Sequence[Webhook]) -> None:
    for message in messages:
        inbox.receive("sandbox", message.headers, message.body, now=NOW)


def outcome() -> tuple[Any, ...]:
    """All that must be the same, whatever the order was."""
    with db.read() as session:
        assert checks.problems(session) == []
        rows = [tuple(row) for row in session.execute(STATE)]
        balances = [tuple(row) for row in session.execute(BALANCES)]
    return rows, balances


def in_order(purchases_made: int) -> tuple[Any, ...]:
    for messages in play(buy_many(purchases_made)):
        deliver(messages)
    inbox.handle_due("sandbox", now=NOW)
    return outcome()


def shuffled(purchases_made: int) -> tuple[Any, ...]:
    dice = random.Random(9)  # noqa: S311
    every = [message for messages in play(buy_many(purchases_made)) for message in messages]
    every += dice.sample(every, int(len(every) * DUPLICATES))
    dice.shuffle(every)
    late = int(len(every) * LATE)
    deliver(every[late:])
    inbox.handle_due("sandbox", now=NOW)
    deliver(every[:late])
    inbox.handle_due("sandbox", now=NOW)
    return outcome()


def main(count: int) -> None:
    """The long run, on a server of its own."""
    settings.use(test_settings())
    ends = []
    with start_cluster() as started:
        for play_all in (in_order, shuffled):
            started.create(play_all.__name__)
            db.connect(started.url(play_all.__name__), pool_size=20)
            ends.append(play_all(count))
            db.disconnect()
    assert ends[0] == ends[1], "the order of messages made a difference"
    sys.stdout.write(
        f"{count} purchases end the same in order and shuffled, {DUPLICATES:.0%} of their messages"
        f" twice and {LATE:.0%} late; the books are right\n"
    )


if __name__ == "__main__":
    main(int(sys.argv[1]))
