"""The operator's side of withdrawals: lists, approval, payment, and who may do it."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.models import Role
from flowlink.kernel import clock, policy as policies, settings
from flowlink.kernel.models import AuditRow
from flowlink.kernel.money import Money
from flowlink.payouts import ids, service as payouts
from flowlink.payouts.models import Withdrawal
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.payouts.makers import IBAN, assert_clean

UNKNOWN = "pay_00000000000000000000000000"


def ask(session: Session, person: Person, amount: str = "250.00", rail: str = "bank") -> Withdrawal:
    now = clock.now()
    return payouts.request_withdrawal(
        session,
        partner_id=person.partner_id,
        amount=Money.parse(amount),
        rail=rail,
        details=IBAN if rail == "bank" else "ada@example.org",
        policy=policies.at(session, now),
        now=now,
    )


def post(client: TestClient, path: str, **form: str) -> int:
    return client.post(path, data=form, follow_redirects=False).status_code


def secret() -> dict[str, str]:
    return {"x-admin-secret": settings.current().admin_secret}


def test_from_request_to_payment(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="300.00")
    withdrawal = ask(session, ada)
    name = ids.public(withdrawal.id)
    sign_in(client, make_operator(session))

    waiting = client.get("/ops/payouts/pending").text
    assert name in waiting
    assert ada.email in waiting
    assert IBAN not in waiting
    assert post(client, f"/ops/payouts/{name}/approve") == 303
    assert post(client, f"/admin/pay?id={name}", reference="SEPA-7") == 303

    assert balance(session, ada, "withdrawing") == "0.00 EUR"
    assert "SEPA-7" in client.get("/admin/payouts").text
    assert name not in client.get("/ops/payouts/pending").text
    actions = session.scalars(select(AuditRow.action).where(AuditRow.subject == name)).all()
    assert actions == ["approved withdrawal", "paid withdrawal"]
    assert_clean(session)


def test_a_second_payment_is_refused_and_moves_nothing(
    client: TestClient, session: Session
) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, "20.00")
    name = ids.public(withdrawal.id)
    sign_in(client, make_operator(session))

    assert post(client, f"/admin/pay?id={name}", reference="PP-1") == 303
    again = client.post(
        f"/admin/pay?id={name}", data={"reference": "PP-2"}, headers={"accept-language": "en"}
    )

    assert (again.status_code, "paid already" in again.text) == (400, True)
    assert session.get_one(Withdrawal, withdrawal.id).reference == "PP-1"
    assert_clean(session)


def test_payment_before_approval_is_refused(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="300.00")
    name = ids.public(ask(session, ada).id)
    sign_in(client, make_operator(session))

    assert post(client, f"/admin/pay?id={name}", reference="PP-1") == 400

    assert balance(session, ada, "withdrawing") == "250.00 EUR"


@pytest.mark.parametrize("reference", ["", "   "])
def test_payment_wants_a_reference(client: TestClient, session: Session, reference: str) -> None:
    ada = make_partner(session, available="50.00")
    name = ids.public(ask(session, ada, "20.00").id)
    sign_in(client, make_operator(session))

    assert post(client, f"/admin/pay?id={name}", reference=reference) == 400
    assert post(client, f"/admin/pay?id={name}") == 400

    assert balance(session, ada, "withdrawing") == "20.00 EUR"


def test_scripts_act_with_the_admin_secret(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="300.00")
    withdrawal = ask(session, ada)
    name = ids.public(withdrawal.id)

    approved = client.post(f"/ops/payouts/{name}/approve", headers=secret(), follow_redirects=False)
    paid = client.post(
        f"/admin/pay?id={name}",
        data={"reference": "SEPA-7"},
        headers=secret(),
        follow_redirects=False,
    )

    assert (approved.status_code, paid.status_code) == (303, 303)
    listed = client.get("/admin/payouts", headers=secret() | {"accept": "application/json"})
    (line,) = [each for each in listed.json()["payouts"] if each["id"] == name]
    assert line["amount"] == {"amount": "250.00", "currency": "EUR"}
    assert (line["state"], line["approved_by"], line["reference"]) == (
        "settled",
        "secret",
        "SEPA-7",
    )


def test_who_asked_cannot_approve(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="300.00")
    now = clock.now()
    identity.set_staff(session, user_id=ada.user_id, role=Role.OPERATOR, actor="test", now=now)
    withdrawal = ask(session, ada)
    name = ids.public(withdrawal.id)
    key = identity.make_api_key(
        session, owner_kind="operator", owner_id=ada.user_id, actor="test", now=now
    )
    sign_in(client, ada)

    assert post(client, f"/ops/payouts/{name}/approve") == 403
    with_key = client.post(
        f"/ops/payouts/{name}/approve", headers={"authorization": f"Bearer {key}"}
    )

    assert with_key.status_code == 403
    assert session.get_one(Withdrawal, withdrawal.id).state == "requested"


@pytest.mark.parametrize(("step", "state"), [("reject", "rejected"), ("fail", "failed")])
def test_what_is_refused_gives_the_money_back(
    client: TestClient, session: Session, step: str, state: str
) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = ask(session, ada, "20.00")
    name = ids.public(withdrawal.id)
    sign_in(client, make_operator(session))

    assert post(client, f"/ops/payouts/{name}/{step}") == 400
    assert balance(session, ada, "withdrawing") == "20.00 EUR"
    assert post(client, f"/ops/payouts/{name}/{step}", reason="wrong name") == 303

    assert session.get_one(Withdrawal, withdrawal.id).state == state
    assert balance(session, ada, "available") == "50.00 EUR"
    assert post(client, f"/ops/payouts/{name}/{step}", reason="wrong name") == 400
    assert_clean(session)


def test_a_payment_that_came_back(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="50.00")
    name = ids.public(ask(session, ada, "20.00").id)
    sign_in(client, make_operator(session))
    assert post(client, f"/ops/payouts/{name}/return", reason="closed") == 400
    post(client, f"/admin/pay?id={name}", reference="PP-1")

    assert post(client, f"/ops/payouts/{name}/return", reason="closed") == 303

    assert balance(session, ada, "available") == "50.00 EUR"
    assert_clean(session)


def test_details_are_shown_on_request_and_that_is_written_down(
    client: TestClient, session: Session
) -> None:
    ada = make_partner(session, available="300.00")
    name = ids.public(ask(session, ada).id)
    sign_in(client, make_operator(session))

    shown = client.post(f"/ops/payouts/{name}/details")

    assert (shown.status_code, IBAN in shown.text) == (200, True)
    assert client.get(f"/ops/payouts/{name}/details").status_code == 405
    actions = session.scalars(select(AuditRow.action).where(AuditRow.subject == name)).all()
    assert actions == ["read payout details"]


@pytest.mark.parametrize(
    "path",
    [
        f"/ops/payouts/{UNKNOWN}/approve",
        f"/ops/payouts/{UNKNOWN}/reject",
        f"/ops/payouts/{UNKNOWN}/details",
        f"/admin/pay?id={UNKNOWN}",
        "/admin/pay?id=par_00000000000000000000000000",
        "/admin/pay?id=1",
        "/ops/payouts/nonsense/approve",
    ],
)
def test_an_unknown_withdrawal_is_not_found(
    client: TestClient, session: Session, path: str
) -> None:
    sign_in(client, make_operator(session))

    assert post(client, path, reason="x", reference="x") == 404


PATHS = [
    ("GET", "/ops/payouts/pending"),
    ("GET", "/admin/payouts"),
    ("GET", "/admin/payouts?format=csv"),
    ("POST", f"/ops/payouts/{UNKNOWN}/approve"),
    ("POST", f"/ops/payouts/{UNKNOWN}/reject"),
    ("POST", f"/ops/payouts/{UNKNOWN}/fail"),
    ("POST", f"/ops/payouts/{UNKNOWN}/return"),
    ("POST", f"/ops/payouts/{UNKNOWN}/details"),
    ("POST", f"/admin/pay?id={UNKNOWN}"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
def test_only_operators_come_in(
    client: TestClient, session: Session, method: str, path: str
) -> None:
    assert client.request(method, path, follow_redirects=False).status_code == 401
    sign_in(client, make_partner(session))

    assert client.request(method, path, follow_redirects=False).status_code == 403


def test_a_get_pays_nothing(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="300.00")
    name = ids.public(ask(session, ada).id)
    sign_in(client, make_operator(session))

    for path in (f"/admin/pay?id={name}&reference=x", f"/ops/payouts/{name}/approve"):
        assert client.get(path).status_code == 405

    assert balance(session, ada, "withdrawing") == "250.00 EUR"


def test_the_journal_pages_and_exports(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="600.00")
    names = [ids.public(ask(session, ada, "10.00", "paypal").id) for _ in range(52)]
    headers = secret() | {"accept": "application/json"}

    first = client.get("/admin/payouts", headers=headers).json()
    second = client.get("/admin/payouts", params={"cursor": first["next"]}, headers=headers).json()
    sheet = client.get("/admin/payouts?format=csv", headers=secret()).text

    listed = [line["id"] for line in first["payouts"] + second["payouts"]]
    assert listed[:52] == names[::-1]
    assert len(first["payouts"]) == 50
    assert sheet.count("a…@example.org") >= 52
    assert client.get("/admin/payouts?cursor=x", headers=headers).status_code == 422


def test_the_pages_speak_french(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="300.00")
    ask(session, ada)
    sign_in(client, make_operator(session))

    for path, word in (("/ops/payouts/pending", "À approuver"), ("/admin/payouts", "Journal des")):
        assert word in client.get(path, headers={"accept-language": "fr"}).text


def test_what_waits_pages_and_exports(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="600.00")
    names = [ids.public(ask(session, ada, "10.00", "paypal").id) for _ in range(52)]
    headers = secret() | {"accept": "application/json"}

    first = client.get("/ops/payouts/pending", headers=headers).json()
    rest = client.get("/ops/payouts/pending", params={"cursor": first["next"]}, headers=headers)
    sheet = client.get("/ops/payouts/pending?format=csv", headers=secret()).text

    listed = [line["id"] for line in first["withdrawals"] + rest.json()["withdrawals"]]
    assert listed == names
    assert all(name in sheet for name in names)
