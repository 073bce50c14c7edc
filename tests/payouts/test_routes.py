"""A partner asks for their money: what happens, what is refused, what the ledger says."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.kernel import clock, policy as policies
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts import queries
from flowlink.risk import service as risk
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.payouts.makers import IBAN, assert_clean, earn


def ask(
    client: TestClient,
    *,
    amount: str,
    method: str = "paypal",
    details: str = "ada@example.org",
    lang: str = "en",
) -> tuple[int, str]:
    form = {"amount": amount, "method": method, "details": details}
    response = client.post(
        "/partners/withdraw",
        data=form,
        follow_redirects=False,
        headers={"accept-language": lang, "accept": "text/html"},
    )
    return response.status_code, response.text


def api_key(session: Session, person: Person, scopes: list[str] | None = None) -> dict[str, str]:
    token = identity.make_api_key(
        session,
        owner_kind="partner",
        owner_id=person.partner_id,
        scopes=scopes,
        actor="test",
        now=clock.now(),
    )
    return {"authorization": f"Bearer {token}"}


def test_a_withdrawal_sets_the_money_aside(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session, available="50.00"))

    status, _ = ask(client, amount="20.00")

    assert status == 303
    assert balance(session, ada, "available") == "30.00 EUR"
    assert balance(session, ada, "withdrawing") == "20.00 EUR"
    assert_clean(session)


@pytest.mark.parametrize(
    "amount",
    ["9.99", "1.001", "50.01", "-20", "twenty", "", "NaN", "Infinity", "1e1", "\x00", "9" * 400],
)
def test_a_bad_amount_moves_nothing(client: TestClient, session: Session, amount: str) -> None:
    ada = sign_in(client, make_partner(session, available="50.00"))

    status, _ = ask(client, amount=amount)

    assert status == 400
    assert balance(session, ada, "available") == "50.00 EUR"


@pytest.mark.parametrize(
    ("method", "details", "told"),
    [
        ("bank", "FR7612345", "IBAN"),
        ("bank", "DE00370400440532013000", "IBAN"),
        ("paypal", "ada at example", "PayPal"),
        ("paypal", "", "where the money should go"),
        ("cheque", "ada@example.org", "payout methods"),
        ("", "ada@example.org", "payout methods"),
    ],
)
def test_a_bad_method_moves_nothing(
    client: TestClient, session: Session, method: str, details: str, told: str
) -> None:
    ada = sign_in(client, make_partner(session, available="50.00"))

    status, page = ask(client, amount="20", method=method, details=details)

    assert (status, told in page) == (400, True)
    assert balance(session, ada, "available") == "50.00 EUR"


def test_a_form_without_fields_is_refused(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session, available="50.00"))

    assert client.post("/partners/withdraw", data={}).status_code == 400

    assert balance(session, ada, "available") == "50.00 EUR"


def test_a_hold_is_explained_to_the_partner(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session, available="50.00"))
    now = clock.now()
    risk.place_hold(
        session,
        partner_id=ada.partner_id,
        reason="velocity",
        evidence={},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )

    status, page = ask(client, amount="20.00")
    french, seite = ask(client, amount="20.00", lang="fr")

    assert (status, "being reviewed" in page) == (400, True)
    assert (french, "en cours d" in seite and "pourquoi" in seite) == (400, True)
    assert balance(session, ada, "available") == "50.00 EUR"


def test_a_stranger_is_asked_to_sign_in(client: TestClient) -> None:
    assert ask(client, amount="20.00")[0] == 401


def test_a_waiting_partner_withdraws_nothing(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session, available="50.00"))
    session.get_one(Partner, ada.partner_id).status = PartnerStatus.PENDING

    response = client.post(
        "/partners/withdraw",
        data={"amount": "20", "method": "paypal", "details": "ada@example.org"},
        headers={"accept": "application/json"},
    )

    assert response.status_code == 403
    assert balance(session, ada, "available") == "50.00 EUR"


def test_only_a_full_key_withdraws(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="50.00")
    form = {"amount": "20", "method": "bank", "details": IBAN}

    scoped = api_key(session, ada, ["earnings:read", "links:write"])
    assert client.post("/partners/withdraw", data=form, headers=scoped).status_code == 403
    assert balance(session, ada, "available") == "50.00 EUR"
    full = api_key(session, ada)
    response = client.post("/partners/withdraw", data=form, headers=full, follow_redirects=False)

    assert response.status_code == 303
    assert balance(session, ada, "available") == "30.00 EUR"


def test_the_balance_is_told_to_programs(client: TestClient, session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00", at=clock.now())

    found = client.get("/api/partner/balance", headers=api_key(session, ada)).json()

    releases = queries.releases(session, ada.partner_id)
    assert found == {
        "pending": {"amount": "0.00", "currency": "EUR"},
        "reserved": {"amount": "18.00", "currency": "EUR"},
        "held": {"amount": "0.00", "currency": "EUR"},
        "available": {"amount": "42.00", "currency": "EUR"},
        "withdrawing": {"amount": "0.00", "currency": "EUR"},
        "paid": {"amount": "0.00", "currency": "EUR"},
        "releases": [
            {"amount": {"amount": "18.00", "currency": "EUR"}, "on": releases[0].on.isoformat()}
        ],
    }


def test_the_entries_page(client: TestClient, session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    key = api_key(session, ada, ["earnings:read"])

    first = client.get("/api/partner/entries", params={"limit": 1}, headers=key).json()
    second = client.get(
        "/api/partner/entries", params={"limit": 9, "cursor": first["next"]}, headers=key
    ).json()

    lines = first["entries"] + second["entries"]
    assert [(line["account"], line["amount"]["amount"]) for line in lines] == [
        ("available", "42.00"),
        ("reserve", "18.00"),
    ]
    assert second["next"] is None
    assert {line["entry_id"][:4] for line in lines} == {"ent_"}


@pytest.mark.parametrize("cursor", ["x", "bnVsbA", "WyJhIl0", "WzEsMl0", "Wy0xXQ", "W3RydWVd"])
def test_a_strange_cursor_is_refused(client: TestClient, session: Session, cursor: str) -> None:
    ada = make_partner(session)

    answer = client.get(
        "/api/partner/entries", params={"cursor": cursor}, headers=api_key(session, ada)
    )

    assert answer.status_code == 422


def test_the_api_wants_a_key_of_a_partner(client: TestClient, session: Session) -> None:
    ada = make_partner(session)
    operator = identity.make_api_key(
        session, owner_kind="operator", owner_id=None, actor="test", now=clock.now()
    )

    assert client.get("/api/partner/balance").status_code == 401
    bearer = {"authorization": f"Bearer {operator}"}
    assert client.get("/api/partner/balance", headers=bearer).status_code == 403
    links_only = api_key(session, ada, ["links:write"])
    assert client.get("/api/partner/balance", headers=links_only).status_code == 403
    sign_in(client, make_operator(session))
    assert client.get("/api/partner/balance").status_code == 403
