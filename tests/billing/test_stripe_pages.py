"""Who takes payments is shown, to those who pay, to the operator and by the doctor."""

import subprocess
import sys
from pathlib import Path

import httpx2
import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.app import diagnosis
from flowlink.billing import stripe_rows as rows
from flowlink.kernel import clock
from tests.billing.makers import pro_team
from tests.billing.stripes import till
from tests.conftest import chosen_settings
from tests.factories import free_port, make_operator, make_person, sign_in
from tests.teams.makers import make_team


def text_of(client: TestClient, path: str, lang: str = "en") -> str:
    answer = client.get(path, headers={"accept": "text/html", "accept-language": lang})
    assert answer.status_code == 200, answer.text
    return answer.text


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "You pay in the sandbox"),
        ({"payment_provider": "stripe"}, "Payments are not set up here"),
        ({"stripe_secret_key": "sk_test_1"}, "in test mode: no money moves"),
        ({"stripe_secret_key": "sk_live_1"}, "we never see your card"),
    ],
)
def test_who_pays_reads_where(
    client: TestClient, session: Session, settings: dict[str, str], said: str
) -> None:
    make_team(session, sign_in(client, make_person(session)))
    if "stripe_secret_key" in settings:
        settings |= {"payment_provider": "stripe", "stripe_webhook_secret": "whsec_1"}

    with chosen_settings(**settings):
        shown = text_of(client, "/teams/acme/billing/plan?plan=pro")

    assert said in shown.replace("&#39;", "'")


def test_without_a_key_nothing_is_sold(client: TestClient, session: Session) -> None:
    make_team(session, sign_in(client, make_person(session)))

    with chosen_settings(payment_provider="stripe"):
        answer = client.post(
            "/teams/acme/billing/plan", data={"plan": "pro"}, headers={"accept": "text/html"}
        )

    assert answer.status_code == 400


def test_the_operator_sees_who_takes_payments(client: TestClient, session: Session) -> None:
    sign_in(client, make_operator(session))
    assert "Sandbox" in text_of(client, "/admin/payments")
    rows.keep_listed(clock.now())

    with chosen_settings(payment_provider="stripe", stripe_secret_key="sk_test_1"):
        shown = text_of(client, "/admin/payments")

    assert "STRIPE_WEBHOOK_SECRET" in shown
    assert "http://testserver/webhooks/stripe" in shown
    assert "not yet" not in shown


def test_a_team_goes_and_pays_at_stripe(client: TestClient, session: Session) -> None:
    sign_in(client, make_person(session))
    with till() as shop:
        team = pro_team(session)
        url = shop.checkout(shop.order(team))
        assert "Payer" in httpx2.get(url, headers={"accept-language": "fr"}).text
        shop.press(url)
        shop.deliver()
        bank = httpx2.get(f"{shop.url}/?lang=en").text
        assert "€2.00" in bank
        intent = shop.charges()[0]["payment_intent"]
        httpx2.post(f"{shop.url}/dispute/{intent}", data={"to": "open"})
        assert "The shop wins" in httpx2.get(f"{shop.url}/?lang=en").text
        httpx2.post(f"{shop.url}/dispute/{intent}", data={"to": "won"})
        assert "Dispute won" in httpx2.get(f"{shop.url}/?lang=en").text
        assert httpx2.get(f"{shop.url}/pay/none").status_code == 404


def test_the_doctor_asks_stripe() -> None:
    with chosen_settings(payment_provider="stripe"):
        assert findings() == [
            (False, "payments: set STRIPE_SECRET_KEY, STRIPE_WEBHOOK_SECRET"),
        ]
    with till() as shop:
        assert findings() == [(True, "payments: Stripe answers in test mode: no money moves")]
        shop.fake.key = "sk_test_other"
        assert findings() == [(False, "payments: Stripe: AuthenticationError 401")]
    assert findings() == [(True, "payments: go to the sandbox")]


def findings() -> list[tuple[bool, str]]:
    return [(one.well, one.text) for one in diagnosis._payments()]


def test_the_fake_runs_from_the_shell(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "flowlink", "fakestripe", "--port", str(port)]
    with subprocess.Popen(
        [*command, "--data", str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as running:
        try:
            assert running.stdout is not None
            told = [running.stdout.readline().strip() for _ in range(4)]
            transport = httpx2.HTTPTransport(retries=20)
            with httpx2.Client(transport=transport) as client:
                answer = client.get(f"http://127.0.0.1:{port}/?lang=en")
        finally:
            running.terminate()

    assert told[0] == "PAYMENT_PROVIDER=stripe"
    assert told[1] == f"STRIPE_URL=http://127.0.0.1:{port}"
    assert "No payments yet" in answer.text
    assert running.returncode == 0
