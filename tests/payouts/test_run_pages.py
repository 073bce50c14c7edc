"""The operator's pages about runs and banks' answers, and who may do what there."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from flowlink.identity.models import SignInSession, User
from flowlink.kernel import clock, settings
from flowlink.payouts import ids, runs
from flowlink.payouts.models import State, Withdrawal
from flowlink.payouts.run_models import Run, RunItem
from tests.factories import Person, make_operator, make_partner, sign_in
from tests.payouts.acts import ask
from tests.payouts.bank_says import Booking, statement
from tests.payouts.makers import IBAN, assert_clean
from tests.payouts.run_acts import propose, set_up


@pytest.fixture(autouse=True)
def both_rails() -> Iterator[None]:
    with set_up():
        yield


def secret() -> dict[str, str]:
    return {"x-admin-secret": settings.current().admin_secret}


def post(client: TestClient, path: str, **form: str) -> int:
    return client.post(path, data=form, follow_redirects=False).status_code


def approved(session: Session) -> Withdrawal:
    ada = make_partner(session, available="50.00")
    return ask(session, ada, rail="bank", details=IBAN, now=clock.now())


def proposed(session: Session, by: Person | None = None) -> tuple[Run, str]:
    run = propose(session, by=by, now=clock.now())
    return run, f"/ops/payouts/runs/{runs.public(run.id)}"


def grow_old(session: Session) -> None:
    """The session of whoever is signed in began an hour ago."""
    before = clock.now() - timedelta(hours=1)
    session.execute(update(SignInSession).values(created_at=before))


def test_from_proposal_to_settlement_by_page(client: TestClient, session: Session) -> None:
    withdrawal = approved(session)
    sign_in(client, make_operator(session))

    assert post(client, "/ops/payouts/runs", rail="bank") == 303
    run = session.scalars(select(Run)).one()
    path = f"/ops/payouts/runs/{runs.public(run.id)}"
    assert run.sha256 in client.get(path).text

    sign_in(client, make_operator(session))
    assert post(client, f"{path}/release", sha256=run.sha256) == 303
    file = client.get(f"{path}/file")
    assert b"pain.001.001.09" in file.content
    assert str(run.message_id) in file.headers["content-disposition"]

    name = session.scalars(select(RunItem.end_to_end_id)).one()
    upload = {"file": ("statement.xml", statement(Booking(name)), "application/xml")}
    answer = client.post("/ops/payouts/answers", files=upload, follow_redirects=False)
    assert answer.status_code == 303
    assert name in client.get(answer.headers["location"]).text
    assert session.get_one(Withdrawal, withdrawal.id).state == "settled"
    assert "REF1" in client.get("/admin/payouts?state=settled").text
    assert_clean(session)


def test_who_proposed_cannot_release(client: TestClient, session: Session) -> None:
    approved(session)
    grace = sign_in(client, make_operator(session))
    run, path = proposed(session, by=grace)

    assert post(client, f"{path}/release", sha256=run.sha256) == 403
    assert session.get_one(Run, run.id).state == "proposed"


def test_a_release_needs_a_fresh_sign_in(client: TestClient, session: Session) -> None:
    approved(session)
    sign_in(client, make_operator(session))
    run, path = proposed(session)
    grow_old(session)

    shown = client.get(path, headers={"accept-language": "en"}).text

    assert "sign in again" in shown
    assert post(client, f"{path}/release", sha256=run.sha256) == 403
    assert session.get_one(Run, run.id).state == "proposed"


def test_an_approval_needs_a_fresh_sign_in(client: TestClient, session: Session) -> None:
    rich = make_partner(session, available="500.00")
    withdrawal = ask(session, rich, "300.00", rail="bank", details=IBAN)
    sign_in(client, make_operator(session))
    grow_old(session)

    path = f"/ops/payouts/{ids.public(withdrawal.id)}/approve"

    assert post(client, path) == 403
    assert session.get_one(Withdrawal, withdrawal.id).state == "requested"
    assert client.post(path, headers=secret(), follow_redirects=False).status_code == 303


def test_a_run_is_given_up(client: TestClient, session: Session) -> None:
    withdrawal = approved(session)
    sign_in(client, make_operator(session))
    _, path = proposed(session)

    assert post(client, f"{path}/cancel") == 303
    assert session.get_one(Withdrawal, withdrawal.id).state == "approved"
    assert client.get(path).status_code == 200


def test_scripts_read_runs_as_json(client: TestClient, session: Session) -> None:
    approved(session)
    run, path = proposed(session)
    wants = secret() | {"accept": "application/json"}

    (line,) = client.get("/ops/payouts/runs", headers=wants).json()["runs"]
    shown = client.get(path, headers=wants).json()

    assert (line["id"], line["state"]) == (runs.public(run.id), "proposed")
    assert line["total"] == {"amount": "20.00", "currency": "EUR"}
    assert [item["state"] for item in shown["items"]] == ["in_run"]


@pytest.mark.parametrize(
    "path",
    ["/ops/payouts/runs", "/ops/payouts/answers", "/admin/accounting.csv"],
)
def test_they_are_for_operators_alone(client: TestClient, session: Session, path: str) -> None:
    assert client.get(path).status_code == 401

    sign_in(client, make_partner(session))

    assert client.get(path).status_code == 403


@pytest.mark.parametrize(
    "path",
    [
        "/ops/payouts/runs?format=csv",
        "{run}?format=csv",
        "/ops/payouts/answers?format=csv",
        "/ops/payouts/pending?format=csv&state=in_run",
        "/admin/payouts?format=csv&state=settled",
        "/admin/accounting.csv?from=2026-01-01&to=2027-01-01",
    ],
)
def test_every_list_is_a_download_too(client: TestClient, session: Session, path: str) -> None:
    approved(session)
    _, run = proposed(session)

    answer = client.get(path.format(run=run), headers=secret())

    assert (answer.status_code, answer.headers["content-type"][:8]) == (200, "text/csv")


def test_the_journal_names_its_accounts(client: TestClient, session: Session) -> None:
    approved(session)

    lines = client.get("/admin/accounting.csv", headers=secret()).text.splitlines()

    assert any("Partners: payable" in line and ",20.000000,EUR" in line for line in lines)


def test_a_day_that_is_none_is_refused(client: TestClient) -> None:
    assert client.get("/admin/accounting.csv?from=today", headers=secret()).status_code == 422


def test_a_hostile_upload_is_refused_with_its_reason(client: TestClient, session: Session) -> None:
    sign_in(client, make_operator(session))
    bomb = b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'
    upload = {"file": ("a.xml", bomb, "application/xml")}

    answer = client.post("/ops/payouts/answers", files=upload, headers={"accept-language": "en"})

    assert (answer.status_code, "cannot be read" in answer.text) == (400, True)


def test_without_settings_the_page_says_what_is_missing(
    client: TestClient, session: Session
) -> None:
    sign_in(client, make_operator(session))

    with set_up(payout_debtor_iban="", paypal_client_id=""):
        shown = client.get("/ops/payouts/runs").text

    assert "PAYOUT_DEBTOR_IBAN" in shown
    assert "PAYPAL_CLIENT_ID" in shown


def test_partners_read_the_reason_in_their_language(client: TestClient, session: Session) -> None:
    withdrawal = approved(session)
    withdrawal.state, withdrawal.reason = State.FAILED, "The account is closed."
    session.flush()
    owner = session.get_one(Withdrawal, withdrawal.id).requester_id
    email = session.get_one(User, owner).email
    sign_in(client, Person(owner, email, withdrawal.partner_id))  # type: ignore[arg-type]

    shown = client.get("/partners/earnings", headers={"accept-language": "fr"}).text

    assert "Le compte est fermé." in shown
