"""A payout worker that is killed: a real process for each sweep, ended by SIGKILL at a given step.

A step is each begin and end of a transaction, and each moment before and after a call to PayPal.
Reads `TIME STEP` lines; forks a worker for each, and answers `done STEPS` or `killed`.
"""

import os
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import httpx2
from sqlalchemy import event
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.kernel import db, jobs, settings
from tests.conftest import test_settings
from tests.payouts.run_acts import OWNER


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
    send: Callable[..., httpx2.Response] = httpx2.Client.request

    def request(self: httpx2.Client, *positional: Any, **named: Any) -> httpx2.Response:
        steps()
        answer = send(self, *positional, **named)
        steps()
        return answer

    httpx2.Client.request = request  # type: ignore[method-assign]


def sweep(database: str, at: datetime, kill_at: int, out: int) -> None:
    """What the scheduled job does, in this process; reports its steps if it lives."""
    steps = Steps(kill_at)
    watch(steps)
    db.connect(database)
    jobs.run("payout_sweep", at)
    os.write(out, f"done {steps.count}\n".encode())
    db.disconnect()


def say(word: str) -> None:
    """Answer whoever drives us."""
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def main(database: str, paypal_url: str) -> None:
    """Fork a worker for each line until the input ends; nothing is connected before a fork."""
    settings.use(test_settings(**(OWNER | {"paypal_url": paypal_url})))
    registry.load()
    say("ready")
    for line in sys.stdin:
        time, kill_at = line.split()
        child = os.fork()
        if child == 0:
            sweep(database, datetime.fromisoformat(time), int(kill_at), sys.stdout.fileno())
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if os.WIFSIGNALED(status):
            say("killed")
        elif status:
            say("failed")


if __name__ == "__main__":
    main(*sys.argv[1:])
