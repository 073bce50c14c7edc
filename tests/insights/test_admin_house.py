"""Console pages about the running of the place: jobs, mails, settings, audit log."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import update
from sqlalchemy.orm import Session

from flowlink.insights import queue
from flowlink.kernel import audit, ids, jobs, policy as policies
from flowlink.kernel.flags import Flag, on
from flowlink.notify import queries as notify
from flowlink.notify.models import Mail
from tests.factories import Person
from tests.insights.makers import read, send


def test_run_now_queues_what_the_schedule_would(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    ran = send(client, "/admin/jobs/reserve_release/run")
    jobs.run_pending(now)

    assert ran == (303, "/admin/jobs/reserve_release")
    assert "0 reserve lots released" in read(client, "/admin/jobs/reserve_release")
    assert "ran job" in read(client, "/admin/audit")
    assert send(client, "/admin/jobs/nothing/run")[0] == 404


def test_a_failed_task_is_shown_and_retried(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    jobs.enqueue(session, "not.there", {})
    with pytest.raises(jobs.UnknownJob):
        jobs.run_pending(now)
    (task,) = queue.failed(session)
    assert "not.there" in read(client, "/admin/jobs")

    assert send(client, f"/admin/jobs/tasks/{task.task_id}/retry") == (303, "/admin/jobs")

    assert queue.waiting(session).tasks_waiting == 1
    assert queue.failed(session) == []
    assert send(client, f"/admin/jobs/tasks/{task.task_id}/retry")[0] == 400


def test_a_mail_is_shown_in_a_frame_that_can_do_nothing(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    client.post("/login", data={"email": "new@example.org"})
    jobs.run_pending(now + timedelta(seconds=5))
    (row, *_) = notify.mails(session)
    path = f"/admin/mails/{ids.public('mail', row.id)}"

    assert path in read(client, "/admin/mails")
    page, framed = read(client, path), client.get(f"{path}/html")

    assert "sandbox" in page
    assert "/partner/login?token=" in page or "/login/verify?token=" in page
    assert framed.headers["content-security-policy"].startswith("default-src 'none'")
    assert "sandbox" in framed.headers["content-security-policy"]


def test_a_failed_mail_is_sent_again(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    client.post("/login", data={"email": "new@example.org"})
    session.execute(update(Mail).values(state="failed", context={}, error="no such host"))
    (row, *_) = notify.mails(session)
    path = f"/admin/mails/{ids.public('mail', row.id)}"
    assert ("Send again" in read(client, path), "no such host" in read(client, path)) == (
        True,
        True,
    )

    assert send(client, f"{path}/retry") == (303, path)

    assert notify.mails(session)[0].state == "queued"
    assert send(client, f"{path}/retry")[0] == 400


def test_a_flag_is_switched_and_the_switching_kept(
    client: TestClient, session: Session, operator: Person
) -> None:
    off = send(client, "/admin/settings/flag", flag="FEATURE_RISKBOT", on="", reason="Too loud.")

    assert off == (303, "/admin/settings")
    assert not on(session, Flag.FEATURE_RISKBOT)
    assert (
        send(client, "/admin/settings/flag", flag="FEATURE_RISKBOT", on="on", reason="Mended.")[0]
        == 303
    )
    assert on(session, Flag.FEATURE_RISKBOT)
    assert send(client, "/admin/settings/flag", flag="FEATURE_NOTHING")[0] == 400
    assert "Too loud." in read(client, "/admin/audit?q=switched")
    assert "Too loud." in read(client, "/admin/settings")


def test_a_flag_is_not_switched_without_a_reason(
    client: TestClient, session: Session, operator: Person
) -> None:
    for form in ({}, {"reason": " "}):
        assert send(client, "/admin/settings/flag", flag="FEATURE_RISKBOT", on="", **form)[0] == 400

    assert on(session, Flag.FEATURE_RISKBOT)
    assert "No lines" in read(client, "/admin/audit?q=switched")


def test_a_number_is_changed_with_its_reason(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    change = {"name": "PAYOUT_MIN_EUR", "value": "25", "reason": "fees rose"}

    assert send(client, "/admin/settings/policy", **change) == (303, "/admin/settings")

    later = now + timedelta(seconds=5)
    assert str(policies.at(session, later).payout_min) == "25.00 EUR"
    page = read(client, "/admin/settings")
    assert ("fees rose" in page, "Changed" in page) == (True, True)


def test_a_change_may_wait_for_its_day(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    day = (now + timedelta(days=3)).date().isoformat()
    change = {"name": "PAYOUT_RELEASE_DAYS", "value": "45", "reason": "x", "effective_on": day}

    assert send(client, "/admin/settings/policy", **change)[0] == 303

    assert policies.at(session, now).release_days == 30
    assert policies.at(session, now + timedelta(days=4)).release_days == 45
    assert "45 from" in read(client, "/admin/settings")


@pytest.mark.parametrize(
    "change",
    [
        {"name": "PAYOUT_MIN_EUR", "value": "25", "reason": " "},
        {"name": "PAYOUT_MIN_EUR", "value": "-1", "reason": "x"},
        {"name": "PAYOUT_MIN_EUR", "value": "ten", "reason": "x"},
        {"name": "PAYOUT_RESERVE_PCT", "value": "1.5", "reason": "x"},
        {"name": "NO_SUCH", "value": "1", "reason": "x"},
        {"name": "PAYOUT_MIN_EUR", "value": "25", "reason": "x", "effective_on": "soon"},
    ],
)
def test_a_bad_change_changes_nothing(
    client: TestClient, session: Session, operator: Person, now: datetime, change: dict[str, str]
) -> None:
    before = policies.at(session, now + timedelta(days=1))

    assert send(client, "/admin/settings/policy", **change)[0] == 400

    assert policies.at(session, now + timedelta(days=1)) == before


def test_the_audit_log_says_who_by_their_address(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    asked = {"flag": "FEATURE_RISKBOT", "on": "", "reason": "a launch"}
    assert send(client, "/admin/settings/flag", **asked)[0] == 303

    for path in ("/admin/audit?q=switched", "/admin/settings"):
        assert operator.email in read(client, path).partition("<main")[2]
    assert f',"on: False, reason: a launch",{operator.email}' in client.get("/admin/audit.csv").text
    assert "switched flag" in read(client, f"/admin/audit?q={operator.email}")
    assert "switched flag" in client.get(f"/admin/audit.csv?q={operator.email}").text


def test_the_audit_log_is_searched(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    audit.record(session, "cli", "lifted hold", "par_1", now, "203.0.113.9", reason="<b>fine</b>")

    page = read(client, "/admin/audit?q=LIFTED")

    assert ("203.0.113.9" in page, "&lt;b&gt;fine" in page) == (True, True)
    assert "No lines" in read(client, "/admin/audit?q=nothing-like-it")
    assert "lifted hold" in client.get("/admin/audit.csv?q=lifted").text
    for query in ("q=203.0.113.9", "q=fine", f"first={now:%Y-%m-%d}&last={now:%Y-%m-%d}&q=lifted"):
        assert "lifted hold" in read(client, f"/admin/audit?{query}")
        assert "lifted hold" in client.get(f"/admin/audit.csv?{query}").text
    assert "lifted hold" in read(client, "/admin/audit?first=0001-01-01&last=9999-12-31")
    for query in ("first=2999-01-01", "last=2000-01-01"):
        assert "lifted hold" not in read(client, f"/admin/audit?{query}")
        assert "lifted hold" not in client.get(f"/admin/audit.csv?{query}").text
    assert client.get("/admin/audit?first=yesterday").status_code == 400
