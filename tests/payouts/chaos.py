"""A payout run under fire: the worker is killed, PayPal duplicates, delays, loses and reorders.

`python -m tests.payouts.chaos` is the long form: a run of 500 items killed at every step of its
first sweep and at seeded steps of all later ones, and 10,000 histories of provider events.
"""

import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import psycopg
from fastapi import FastAPI
from sqlalchemy import select

from flowlink.app import server
from flowlink.identity.ids import actor_of
from flowlink.kernel import clock, db, settings
from flowlink.kernel.accidents import Accidents
from flowlink.ledger import check as ledger_check
from flowlink.payouts import check, hooks, runs
from flowlink.payouts.fakepay.server import FakePay, deliver
from flowlink.payouts.fakepay.state import FATES, Ledger
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.paypal_runs import _STATES
from flowlink.payouts.run_models import RunItem
from flowlink.web import errors
from tests.cluster import Cluster, start_cluster
from tests.conftest import test_settings
from tests.factories import free_port, make_operator, make_partner
from tests.payouts import histories
from tests.payouts.acts import ask
from tests.payouts.run_acts import OWNER, propose

TEMPLATE = "chaos_template"
ROUNDS_MAX = 40
PAUSE = timedelta(hours=7)
ACCIDENTS = {"duplicated": 30, "delayed": 30, "lost": 20, "reordered": 50, "unanswered": 40,
             "server_errors": 10}  # fmt: skip


@dataclass
class Result:
    """How one run under fire ended."""

    kills: int
    sweeps: int
    first_steps: int
    problems: list[str]


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


def prepare(cluster: Cluster, items: int) -> None:
    """A database with one released run: every partner had 50.00 and asked for 20.00 of it."""
    _sql(cluster, f"CREATE DATABASE {TEMPLATE} TEMPLATE flowlink STRATEGY file_copy")
    db.connect(cluster.url(TEMPLATE))
    words = ["", "", "", *FATES]
    now = clock.now()
    with db.write() as session:
        for number in range(items):
            person = make_partner(session, available="50.00")
            details = f"{words[number % len(words)]}p{number}@example.org"
            ask(session, person, details=details, now=now)
        run = propose(session, Rail.PAYPAL, now=now)
        operator = make_operator(session)
        runs.release(
            session,
            run_id=run.id,
            sha256=run.sha256,
            actor=actor_of(operator.user_id),
            person=operator.user_id,
            now=now,
        )
    db.disconnect()


def once(cluster: Cluster, seed: int, kills: list[int], *, more: int = 0) -> Result:
    """One run to its end: sweep n is killed at step `kills[n]` (0: not), then `more` at random."""
    name = f"chaos_{seed}"
    _sql(cluster, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} STRATEGY file_copy")
    fake_port, our_port = free_port(), free_port()
    before = settings.current()
    fake = FakePay(ledger=Ledger(knobs=Accidents(seed=seed, **ACCIDENTS)))
    settings.use(test_settings(**(OWNER | {"paypal_url": f"http://127.0.0.1:{fake_port}"})))
    app = FastAPI()
    errors.install(app)
    app.include_router(hooks.router)
    db.connect(cluster.url(name))
    try:
        with serving(fake, fake_port), serving(app, our_port):
            return _drive(cluster.url(name), fake, seed, kills, more, our_port)
    finally:
        settings.use(before)
        db.disconnect()
        _sql(cluster, f"DROP DATABASE {name} WITH (FORCE)")


def _drive(
    url: str, fake: FakePay, seed: int, kills: list[int], more: int, our_port: int
) -> Result:
    chance, at, killed, first = random.Random(seed), clock.now(), 0, 0  # noqa: S311
    planned = kills + [chance.randint(1, 60) for _ in range(more)]
    command = [
        sys.executable,
        "-m",
        "tests.payouts.chaos_worker",
        url,
        settings.current().paypal_url,
    ]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as zygote:
        assert zygote.stdin is not None
        assert zygote.stdout is not None
        assert zygote.stdout.readline() == "ready\n"
        for number in range(ROUNDS_MAX):
            step = planned[number] if number < len(planned) else 0
            zygote.stdin.write(f"{at.isoformat()} {step}\n")
            zygote.stdin.flush()
            answer = zygote.stdout.readline()
            killed += answer == "killed\n"
            if number == 0 and answer.startswith("done"):
                first = int(answer.split()[1])
            assert answer != "failed\n", "the worker failed"
            fake.ledger.advance(clock.now())
            deliver(fake.ledger, f"http://127.0.0.1:{our_port}/webhooks/paypal")
            at += PAUSE
            if number >= len(planned) and not problems(fake):
                break
        zygote.stdin.close()
    return Result(killed, number + 1, first, problems(fake))


def problems(fake: FakePay) -> list[str]:
    """What does not agree between what PayPal has, what we believe, and the books."""
    found = []
    names = [batch.sender_batch_id for batch in fake.ledger.batches.values()]
    if len(names) != len(set(names)) or len(names) > 1:
        found.append(f"paid more than once: {names}")
    said = {item.asked["sender_item_id"]: item.status for item in fake.ledger.items.values()}
    with db.read() as session:
        rows = session.execute(
            select(RunItem.end_to_end_id, Withdrawal.state).join(
                Withdrawal, Withdrawal.id == RunItem.withdrawal_id
            )
        )
        for name, state in rows:
            expected = _STATES.get(said.get(name, ""), State.SENT)
            if state != expected or name not in said:
                found.append(f"{name} is {state}, PayPal says {said.get(name, 'nothing')}")
        found += [*ledger_check.problems(session), *check.problems(session)]
    return found


def say(text: object) -> None:
    """For whoever runs the long form."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _sql(cluster: Cluster, statement: str) -> None:
    with psycopg.connect(cluster.url("postgres"), autocommit=True) as connection:
        connection.execute(statement.encode())


def _every_step(cluster: Cluster, items: int, seeds: int) -> int:
    """The long form: returns how many runs ended badly."""
    prepare(cluster, items)
    plain = once(cluster, 0, [0])
    say(f"without a kill: {plain.first_steps} steps in the first sweep, {plain.problems}")
    bad, kills = len(plain.problems), 0
    for step in range(1, plain.first_steps + 1):
        for number, plan in enumerate(([step], [0, step])):  # handing over, then paying
            result = once(cluster, 100 * number + step, plan)
            bad, kills = bad + bool(result.problems), kills + result.kills
            say(f"killed at step {step} of sweep {number + 1}: {result.problems or 'ends well'}")
    for seed in range(seeds):
        result = once(cluster, 10_000 + seed, [], more=8)
        bad, kills = bad + bool(result.problems), kills + result.kills
    say(f"{kills} kills, {bad} bad ends")
    return bad


def _histories(cluster: Cluster, count: int) -> int:
    """Returns how many histories ended elsewhere than in order."""
    cluster.create("chaos_histories")
    db.connect(cluster.url("chaos_histories"))
    bad = 0
    for seed in range(count):
        with db.write() as session, db.bound_to(session.connection()):
            what, end, expected = histories.shuffled(session, seed)
            bad += end != expected
            if end != expected:
                say((what, end, expected))
    with db.read() as session:
        found = [*ledger_check.problems(session), *check.problems(session)]
    say(f"{count} histories, {bad} wrong; the ledger: {found or 'clean'}")
    db.disconnect()
    return bad + len(found)


def main() -> int:
    """Items, seeds of repeated kills, histories: 500, 40 and 10,000 unless told otherwise."""
    told = sys.argv[1:] or ["500", "40", "10000"]
    items, seeds, count = (int(text) for text in told)
    settings.use(test_settings(**OWNER))
    with start_cluster() as cluster:
        bad = _every_step(cluster, items, seeds) if items else 0
        bad += _histories(cluster, count) if count else 0
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
