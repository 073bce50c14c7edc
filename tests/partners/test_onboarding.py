"""How partners come: questions, terms that change, and invitations."""

from datetime import datetime
from urllib.parse import parse_qs, urlsplit

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.partners import onboarding, queries, referrals
from flowlink.partners.ids import QUESTION, PartnerId
from flowlink.partners.models import Partner
from tests.factories import make_partner, sign_in
from tests.partners.test_routes import PAGE, newcomer, post


def publish(session: Session, now: datetime) -> None:
    onboarding.publish(
        session,
        version="2027-01",
        body_fr="Texte.",
        body_en="Text.",
        changes_fr="Nouveau.",
        changes_en="New.",
        actor="test",
        now=now,
    )


def test_questions_are_answered_when_joining(
    client: TestClient, session: Session, now: datetime
) -> None:
    asked = {"asked_fr": "Où ?", "asked_en": "Where?", "required": True, "actor": "test"}
    question = onboarding.ask(session, now=now, **asked)  # type: ignore[arg-type]
    new = sign_in(client, newcomer(session, now))

    assert "Where?" in client.get("/partners/join", headers=PAGE).text
    assert post(client, "/partners/join")[0] == 400
    assert queries.of_user(session, new.user_id) is None
    field = f"answer_{ids.public(QUESTION, question.id)}"
    assert post(client, "/partners/join", **{field: "On my blog"})[0] == 303

    partner = queries.of_user(session, new.user_id)
    assert partner is not None
    given = onboarding.answers_of(session, partner.id)
    assert [each.answer for each in given] == ["On my blog"]


def test_new_terms_stop_new_links_until_they_are_accepted(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = sign_in(client, make_partner(session))
    publish(session, now)

    assert client.post("/api/partner/links", json={}).status_code == 409
    assert "Read the new terms" in client.get("/partner/portal", headers=PAGE).text
    assert "New." in client.get("/partners/terms", headers=PAGE).text
    assert post(client, "/partners/terms", terms="2026-11")[0] == 400
    assert post(client, "/partners/terms", terms="2027-01")[0] == 303

    assert client.post("/api/partner/links", json={}).status_code == 201
    assert session.get_one(Partner, ada.partner_id).terms_version == "2027-01"


def test_an_invitation_survives_signing_in_and_counts(
    client: TestClient, session: Session, now: datetime
) -> None:
    ada = make_partner(session)
    code = session.get_one(Partner, ada.partner_id).alias
    path = f"/partners/join?by={code}"

    sent = client.get(path, headers=PAGE, follow_redirects=False)
    assert parse_qs(urlsplit(sent.headers["location"]).query)["next"] == [path]
    new = sign_in(client, newcomer(session, now))
    assert f"{code} invited you" in client.get(path, headers=PAGE).text
    assert post(client, "/partners/join", by=code)[0] == 303

    (brought,) = referrals.brought(session, PartnerId(ada.partner_id))
    partner = queries.of_user(session, new.user_id)
    assert partner is not None
    assert brought.referral.referred_id == partner.id


def test_nobody_invites_themselves(client: TestClient, session: Session, now: datetime) -> None:
    ada = make_partner(session, email="new+ada@example.org")
    new = sign_in(client, newcomer(session, now))
    code = session.get_one(Partner, ada.partner_id).alias

    assert post(client, "/partners/join", by=code)[0] == 400
    assert queries.of_user(session, new.user_id) is None


def test_mailboxes_are_told_apart_by_where_mail_arrives() -> None:
    assert referrals.mailbox("A.da+x@gmail.com") == referrals.mailbox("ada@googlemail.com")
    assert referrals.mailbox("a.da@example.org") != referrals.mailbox("ada@example.org")
