"""Many at once, in committed transactions: one link opens one session, one address is one user."""

import threading
from collections.abc import Callable

from fastapi.testclient import TestClient
from sqlalchemy import func, select

from flowlink.app.web import create_app
from flowlink.identity import service as identity
from flowlink.identity.models import SignInSession, User
from flowlink.kernel import clock, db


def at_once(count: int, work: Callable[[int], None]) -> None:
    """Run `work` in so many threads that start together."""
    start = threading.Barrier(count)

    def run(number: int) -> None:
        start.wait()
        work(number)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def count(model: type[db.Base]) -> int:
    with db.read() as session:
        return session.scalars(select(func.count()).select_from(model)).one()


def test_one_link_used_ten_times_at_once_opens_one_session(database: str) -> None:
    with db.write() as session:
        token = identity.make_link(session, email="ada@example.org", now=clock.now())
    app, answers = create_app(), []

    def use(_: int) -> None:
        client = TestClient(app)
        answer = client.post(f"/login/verify?token={token}", follow_redirects=False)
        answers.append((answer.status_code, "set-cookie" in answer.headers))

    at_once(10, use)

    assert sorted(answers) == [(303, True)] + [(400, False)] * 9
    assert (count(SignInSession), count(User)) == (1, 1)


def test_ten_links_of_a_new_address_at_once_make_one_user(database: str) -> None:
    with db.write() as session:
        tokens = [
            identity.make_link(session, email="ada@example.org", now=clock.now()) for _ in range(10)
        ]

    def use(number: int) -> None:
        with db.write() as session:
            identity.consume_link(session, token=tokens[number], now=clock.now())

    at_once(10, use)

    assert (count(SignInSession), count(User)) == (10, 1)
