"""The operator's console: who may look, what is refused, and that every page opens."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from tests.factories import Person, make_partner, sign_in
from tests.insights.makers import FRENCH, make_world, send, status, withdraw

SECRET = {"x-admin-secret": "an-admin-secret-for-tests-only"}
PAGES = [
    "/admin/monitoring",
    "/admin/monitoring.csv",
    "/admin/ledger",
    "/admin/ledger.csv",
    "/admin/checks",
    "/admin/partners",
    "/admin/partners.csv",
    "/admin/postbacks",
    "/admin/postbacks.csv",
    "/admin/postbacks/try",
    "/admin/networks",
    "/admin/networks.csv",
    "/admin/offers.csv",
    "/admin/jobs.csv",
    "/admin/settings.csv",
    "/admin/networks/direct",
    "/admin/offers",
    "/admin/jobs",
    "/admin/jobs/reserve_release",
    "/admin/mails",
    "/admin/mails.csv",
    "/admin/audit",
    "/admin/audit.csv",
    "/admin/settings",
]
UNKNOWN = [
    "/admin/ledger/ent_00000000000000000000000000",
    "/admin/ledger/cnv_00000000000000000000000000",
    "/admin/partners/par_00000000000000000000000000",
    "/admin/partners/ada@example.org",
    "/admin/postbacks/pb_00000000000000000000000000",
    "/admin/networks/nowhere",
    "/admin/jobs/nothing",
    "/admin/mails/mail_00000000000000000000000000",
    "/admin/mails/mail_00000000000000000000000000/html",
]
BAD = [
    "/admin/ledger?kind=theft",
    "/admin/ledger?cursor=nonsense",
    "/admin/ledger?cursor=WyJub3BlIl0",
    f"/admin/ledger?q={'x' * 300}",
    "/admin/partners?status=rich",
    "/admin/partners?cursor=WzFd",
    "/admin/postbacks?result=lost",
    "/admin/mails?state=eaten",
    "/admin/audit?cursor=1",
    "/admin/settings?cursor=1",
]
WRITES = [
    ("/admin/offers", {"name": "x", "network": "direct", "mode": "revshare", "destination": "y"}),
    ("/admin/networks", {"name": "x"}),
    ("/admin/jobs/reserve_release/run", {}),
    ("/admin/jobs/tasks/1/retry", {}),
    ("/admin/postbacks/pb_00000000000000000000000000/replay", {}),
    ("/admin/mails/mail_00000000000000000000000000/retry", {}),
    ("/admin/settings/flag", {"flag": "FEATURE_BYOP", "reason": "test"}),
    ("/admin/settings/policy", {"name": "PAYOUT_MIN_EUR", "value": "1", "reason": "x"}),
]


@pytest.mark.parametrize("path", [*PAGES, *UNKNOWN, "/admin"])
def test_only_operators_look(client: TestClient, session: Session, path: str) -> None:
    assert status(client, path) == 401

    sign_in(client, make_partner(session))
    assert status(client, path) == 403


@pytest.mark.parametrize(("path", "form"), WRITES)
def test_only_operators_change_anything(
    client: TestClient, session: Session, path: str, form: dict[str, str]
) -> None:
    before = session.scalar(text("SELECT count(*) FROM kernel_audit"))

    assert send(client, path, **form)[0] == 401
    sign_in(client, make_partner(session))
    assert send(client, path, **form)[0] == 403

    assert session.scalar(text("SELECT count(*) FROM kernel_audit")) == before


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_empty_and_full_in_both_languages(
    client: TestClient, session: Session, operator: Person, now: datetime, path: str
) -> None:
    assert status(client, path) == 200

    made = make_world(session, now=now)
    withdraw(session, made.ada.partner_id, "20.00", now=now)
    for headers in ({}, FRENCH):
        assert status(client, path, **headers) == 200


def test_the_secret_opens_the_console_for_scripts(client: TestClient) -> None:
    assert client.get("/admin/monitoring", headers=SECRET).status_code == 200
    assert client.get("/admin/monitoring", headers={"x-admin-secret": "x"}).status_code == 401


def test_the_console_opens_with_its_figures(client: TestClient, operator: Person) -> None:
    answer = client.get("/admin", follow_redirects=False)

    assert (answer.status_code, answer.headers["location"]) == (303, "/admin/monitoring")


@pytest.mark.parametrize("path", UNKNOWN)
def test_what_is_not_there_is_not_found(client: TestClient, operator: Person, path: str) -> None:
    assert status(client, path) == 404


@pytest.mark.parametrize("path", BAD)
def test_a_bad_address_is_refused(client: TestClient, operator: Person, path: str) -> None:
    assert status(client, path) == 400
