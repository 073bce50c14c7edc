"""Reasons and references are somebody's words: shown as they were written, in pages and mails."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.notify import rendering
from flowlink.payouts import ids
from tests.factories import make_operator, make_partner, sign_in
from tests.payouts.acts import ask, pay, reject

REASON = "100 % wrong: <b>another</b> name %(holder)s"
SHOWN = "100 % wrong: &lt;b&gt;another&lt;/b&gt; name %(holder)s"


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_reason_is_shown_as_it_was_written(
    client: TestClient, session: Session, lang: str
) -> None:
    ada = make_partner(session, available="50.00")
    name = ids.public(reject(session, ask(session, ada), REASON).id)

    sign_in(client, ada)
    earnings = client.get(f"/partners/earnings?lang={lang}").text
    trail = client.get(f"/partners/trail/{name}?lang={lang}").text
    sign_in(client, make_operator(session))
    journal = client.get(f"/admin/payouts?lang={lang}").text

    assert [SHOWN in page for page in (earnings, trail, journal)] == [True] * 3


def test_a_reference_is_shown_as_it_was_written(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="50.00")
    name = ids.public(pay(session, ask(session, ada), REASON).id)

    sign_in(client, ada)

    assert SHOWN in client.get(f"/partners/trail/{name}").text


@pytest.mark.parametrize("lang", ["en", "fr"])
def test_a_mail_says_the_reason_as_it_was_written(lang: str) -> None:
    mail = rendering.content_of(
        template="payouts/email/given_back",
        lang=lang,
        context={
            "micro": "20000000",
            "currency": "EUR",
            "destination": "a…@example.org",
            "reason": REASON,
            "url": "https://example.org",
        },
    )

    assert REASON in mail.text
    assert SHOWN in mail.html
