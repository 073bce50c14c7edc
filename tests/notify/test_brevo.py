"""Mail through Brevo: the words on the wire, and how each of its refusals ends."""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import pytest
import uvicorn
from starlette.responses import PlainTextResponse

from flowlink.notify.brevo import Brevo
from flowlink.notify.content import Content
from flowlink.notify.fake_brevo import FakeBrevo, refusal
from flowlink.notify.transport import Hopeless, Outgoing, TryAgain
from tests.factories import free_port

MAIL = Outgoing(
    key=UUID("0192f0c4-5f2c-7a10-8f00-000000000007"),
    message_id="<mail_7@flowlink.example>",
    sender="hello@flowlink.example",
    sender_name="flowlink",
    to="ada@example.org",
    content=Content(subject="Bonjour", text="12,34 €\n", html="<p>12,34 €</p>"),
)


@dataclass
class Running:
    """The fake behind a real socket, and the client under test."""

    fake: FakeBrevo
    brevo: Brevo


@pytest.fixture
def running() -> Iterator[Running]:
    fake, port = FakeBrevo(api_key="xkeysib-test"), free_port()
    server = uvicorn.Server(uvicorn.Config(fake, port=port, log_config=None, lifespan="off"))
    thread = threading.Thread(target=server.run)
    thread.start()
    while not server.started:
        time.sleep(0.005)
    yield Running(fake, Brevo(api_key="xkeysib-test", url=f"http://127.0.0.1:{port}/"))
    server.should_exit = True
    thread.join(10)


def test_a_mail_is_handed_over_in_brevo_s_words(running: Running) -> None:
    reference = running.brevo.deliver(MAIL)

    assert reference == "<1@smtp-relay.mailin.fr>"
    assert running.fake.taken == [
        {
            "sender": {"name": "flowlink", "email": "hello@flowlink.example"},
            "to": [{"email": "ada@example.org"}],
            "subject": "Bonjour",
            "textContent": "12,34 €\n",
            "htmlContent": "<p>12,34 €</p>",
            "headers": {"idempotencyKey": str(MAIL.key), "Auto-Submitted": "auto-generated"},
        }
    ]


def test_the_same_mail_twice_is_taken_once(running: Running) -> None:
    running.brevo.deliver(MAIL)

    running.brevo.deliver(MAIL)

    assert len(running.fake.taken) == 1


@pytest.mark.parametrize(
    ("status", "code", "ending"),
    [
        (401, "unauthorized", TryAgain),
        (402, "not_enough_credits", TryAgain),
        (403, "account_under_validation", TryAgain),
        (429, "too_many_requests", TryAgain),
        (500, "", TryAgain),
        (503, "", TryAgain),
        (400, "invalid_parameter", Hopeless),
        (404, "document_not_found", Hopeless),
    ],
)
def test_a_refusal_ends_by_whose_fault_it_is(
    running: Running, status: int, code: str, ending: type[Exception]
) -> None:
    running.fake.next_answers.append(refusal(status, code, "no"))

    with pytest.raises(ending, match=f"{status} {code}"):
        running.brevo.deliver(MAIL)

    assert running.fake.taken == []


def test_a_wrong_key_waits_for_a_better_one(running: Running) -> None:
    running.fake.api_key = "another"

    with pytest.raises(TryAgain, match="401 unauthorized Key not found"):
        running.brevo.deliver(MAIL)

    assert running.fake.taken == []


def test_a_bad_address_is_hopeless(running: Running) -> None:
    with pytest.raises(Hopeless, match="400 invalid_parameter"):
        running.brevo.deliver(replace(MAIL, to="nobody"))

    assert running.fake.taken == []


def test_words_that_are_not_json_do_not_confuse(running: Running) -> None:
    running.fake.next_answers.append(PlainTextResponse("<html>Bad gateway", status_code=502))

    with pytest.raises(TryAgain, match="502"):
        running.brevo.deliver(MAIL)


def test_an_absent_brevo_is_worth_another_try() -> None:
    gone = Brevo(api_key="x", url=f"http://127.0.0.1:{free_port()}")

    with pytest.raises(TryAgain, match="cannot be reached"):
        gone.deliver(MAIL)
