"""Whom the product trusts, and how far: half requests, read-only keys, padded headers, insiders."""

import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from fastapi.testclient import TestClient
from procrastinate import jobs as queue
from sqlalchemy.orm import Session

from flowlink.app import backups, registry
from flowlink.identity import service as identity
from flowlink.identity.models import Role
from flowlink.kernel import clock, db, jobs, worker
from flowlink.payouts import ids
from flowlink.tracking import intake, visits
from flowlink.tracking.postbacks import PostbackIn
from tests.conftest import Live
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.payouts.acts import ask as ask_for_money
from tests.tracking.makers import ask, committed_shop, make_click, make_shop, postback

FORM = "application/x-www-form-urlencoded"


@pytest.fixture
def reader(client: TestClient, session: Session) -> dict[str, str]:
    """The headers of an operator's key that may only read."""
    key = identity.make_api_key(
        session,
        owner_kind="operator",
        owner_id=None,
        actor="test",
        now=clock.now(),
        scopes=["admin:read"],
    )
    return {"authorization": f"Bearer {key}", "accept": "text/html"}


def send(live: Live, body: bytes, *, upto: int) -> bytes:
    """Post a form over a connection that ends after `upto` bytes of its body."""
    where = urlsplit(live.url)
    head = f"POST /aff/postback HTTP/1.1\r\nHost: x\r\nContent-Type: {FORM}\r\n"
    with socket.create_connection((where.hostname, where.port)) as line:
        line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:upto])
        if upto < len(body):
            line.shutdown(socket.SHUT_WR)
        answer = b""
        while not answer.endswith(b"}") and (more := line.recv(4000)):
            answer += more
        return answer


def test_half_a_postback_is_none(live: Live) -> None:
    shop = committed_shop()
    with db.write() as session:
        click = make_click(session, shop, clock.now())
    fields = {"subid": click, "txn_id": "T1", "amount": "125.00", "status": "pending"}
    body = postback(shop, **fields).encode()

    send(live, body, upto=body.index(b"&status"))
    whole = send(live, body, upto=len(body))

    assert b'"result":"ok"' in whole.replace(b" ", b"")
    booked = ask("SELECT status, amount_micro, revision FROM tracking_conversion")
    assert booked == [("pending", 125_000_000, 1)]


def test_a_reading_key_reads_no_secret(
    client: TestClient, session: Session, reader: dict[str, str]
) -> None:
    shop = make_shop(session)
    make_operator(session, "boss@example.org")
    client.post("/login", data={"email": "boss@example.org"})
    jobs.run_pending(clock.now())
    listed = client.get("/admin/mails", headers=reader).text
    mail = re.findall(r"/admin/mails/(mail_\w+)", listed)[0]

    answers = [
        client.get(path, headers=reader)
        for path in ("/admin/networks/direct", f"/admin/mails/{mail}", f"/admin/mails/{mail}/html")
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert not any(shop.key in answer.text or "token=" in answer.text for answer in answers)


def test_an_insider_settles_nothing_of_their_own(client: TestClient, session: Session) -> None:
    eve = make_partner(session, available="100.00")
    identity.set_staff(
        session, user_id=eve.user_id, role=Role.OPERATOR, actor="test", now=clock.now()
    )
    sign_in(client, eve)
    name = ids.public(ask_for_money(session, eve, "100.00", now=clock.now()).id)
    acts = {
        f"/admin/pay?id={name}": {"reference": "SEPA-1"},
        f"/ops/payouts/{name}/fail": {"reason": "bounced"},
        f"/ops/payouts/{name}/return": {"reason": "bounced"},
    }

    answers = [client.post(path, data=form, follow_redirects=False) for path, form in acts.items()]

    assert [answer.status_code for answer in answers] == [403, 403, 403]
    assert_set_aside(session, eve)


def assert_set_aside(session: Session, person: Person) -> None:
    assert balance(session, person, "withdrawing") == "100.00 EUR"
    assert balance(session, person, "available") == "0.00 EUR"


def test_padding_does_not_hide_where_a_click_comes_from() -> None:
    claim = "x" * 385 + ", 198.51.100.77"
    headers = {b"x-forwarded-for": f"{claim}, 203.0.113.9".encode()}

    assert visits.visitor("GET", headers, peer="127.0.0.1").place.address == b"203.0.113.9"


@pytest.mark.usefixtures("database")
def test_a_stranger_s_body_is_not_kept() -> None:
    shop = committed_shop()
    body = f'--b\r\nContent-Disposition: form-data; name="key"\r\n\r\n{shop.key}\r\n--b--\r\n'

    for kind in ("text/plain", "multipart/form-data; boundary=other"):
        answer = intake.alone(PostbackIn("POST", "network=direct", kind, body.encode()))

        assert answer.reason == "wrong_key"

    assert ask("SELECT DISTINCT reason, length(body) FROM tracking_postback") == [("wrong_key", 0)]


def test_no_page_links_to_another_site_by_its_own_address(client: TestClient) -> None:
    page = client.get("http://testserver//evil.example/x", headers={"accept": "text/html"}).text

    assert not re.findall(r'href="//evil', page)


def test_a_job_without_retries_has_none() -> None:
    registry.load()
    task = worker.application().tasks["ledger_check"]
    failed = queue.Job(
        id=1, queue="default", lock=None, queueing_lock=None, task_name="ledger_check", attempts=5
    )

    assert task.get_retry_exception(Exception("unsound"), failed) is None


def test_a_backup_tells_no_password(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[object] = []

    def run(command: list[str], **_: object) -> None:
        commands.append(command)
        raise SystemExit

    monkeypatch.setattr("flowlink.app.backups.subprocess.run", run)

    with pytest.raises(SystemExit):
        backups.write(
            "postgresql://u:hunter2@db/flow", data=tmp_path, out=tmp_path / "x", now=clock.now()
        )

    assert commands
    assert "hunter2" not in str(commands)
