"""A process that does one thing with Stripe and is killed: ended by SIGKILL at a given step.

A step is each begin and end of a transaction, and each moment before and after a call to Stripe.
Reads `ACT PAYMENT TIME STEP` lines, forks for each, and answers `done STEPS` or `killed`.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

import requests
from sqlalchemy import event
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.billing import charges, inbox, renewals, stripe_events
from flowlink.billing.models import Payment
from flowlink.kernel import db, settings
from tests.conftest import test_settings


class Steps:
    """Counts steps, and kills this process at one of them."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at, self.count = kill_at, 0

    def __call__(self, *_: object) -> None:
        self.count += 1
        if self.count == self.kill_at:
            os.kill(os.getpid(), signal.SIGKILL)


def watch(steps: Steps) -> None:
    """Let every transaction and every call be a step."""
    for name in ("after_begin", "before_commit", "after_commit"):
        event.listen(Session, name, steps)
    send: Callable[..., Any] = requests.Session.request

    def request(self: requests.Session, *positional: Any, **named: Any) -> Any:
        steps()
        answer = send(self, *positional, **named)
        steps()
        return answer

    requests.Session.request = request  # type: ignore[method-assign]


def act(what: str, payment_id: UUID, at: datetime) -> None:
    """What the worker, or the web, does for a payment."""
    if what == "renew":
        renewals.renew_due(now=at)
    elif what == "refund":
        charges.refund(payment_id, now=at)
    elif what == "hear":
        inbox.handle_due(stripe_events.NAME, now=at)
    else:
        with db.read() as session:
            team_id = session.get_one(Payment, payment_id).team_id
        charges.checkout(team_id=team_id, payment_id=payment_id, now=at)


def say(word: str) -> None:
    """Answer whoever drives us."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def child(database: str, line: str) -> None:
    """One act in a process of its own; reports its steps if it lives."""
    what, payment_id, at, kill_at = line.split()
    steps = Steps(int(kill_at))
    watch(steps)
    db.connect(database)
    act(what, UUID(payment_id), datetime.fromisoformat(at))
    os.write(sys.stdout.fileno(), f"done {steps.count}\n".encode())
    db.disconnect()


def main(database: str, stripe_url: str, key: str) -> None:
    """Fork for each line until the input ends; nothing is connected before a fork."""
    settings.use(
        test_settings(payment_provider="stripe", stripe_secret_key=key, stripe_url=stripe_url)
    )
    registry.load()
    say("ready")
    for line in sys.stdin:
        forked = os.fork()
        if forked == 0:
            child(database, line)
            os._exit(0)
        _, status = os.waitpid(forked, 0)
        if os.WIFSIGNALED(status):
            say("killed")
        elif status:
            say("failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
