"""Mail over a real SMTP server: what arrives, and how each refusal of the server ends."""

import ssl
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from flowlink.notify.content import Content
from flowlink.notify.smtp import Smtp
from flowlink.notify.transport import Hopeless, Outgoing, TryAgain
from tests.factories import free_port


@dataclass
class Mailbox:
    """What a mail server does with a message: keeps it, or gives the answer set for it."""

    answer: str = "250 OK"
    answer_to_recipient: str = "250 OK"
    goodbye: str = "221 Bye"
    kept: list[Envelope] = field(default_factory=list)

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's names
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        envelope.rcpt_tos.append(address)
        return self.answer_to_recipient

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        if self.answer.startswith("250"):
            self.kept.append(envelope)
        return self.answer

    async def handle_QUIT(self, _server: Any, _session: Any, _envelope: Any) -> str:  # noqa: N802
        return self.goodbye

    def only_message(self) -> EmailMessage:
        (envelope,) = self.kept
        assert isinstance(envelope.content, bytes)
        parsed = message_from_bytes(envelope.content, policy=policy.default)
        assert isinstance(parsed, EmailMessage)
        return parsed


Serve = Callable[..., int]


@pytest.fixture
def mailbox() -> Mailbox:
    return Mailbox()


@pytest.fixture
def serve(mailbox: Mailbox) -> Iterator[Serve]:
    """Starts a real mail server for the mailbox; returns its port."""
    with ExitStack() as stack:

        def start(**options: Any) -> int:
            port = free_port()
            server = Controller(mailbox, hostname="127.0.0.1", port=port, **options)
            server.start()
            stack.callback(server.stop)
            return port

        yield start


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for `localhost` and its key, in one file."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    made_at = datetime.now(UTC)  # noqa: TID251 - real sockets check real certificates
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(made_at - timedelta(days=1))
        .not_valid_after(made_at + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def server_tls(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.fixture
def trusting_tls(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=str(certificate))


def mail(*, to: str = "ada@example.org", subject: str = "Bonjour, ça va ?") -> Outgoing:
    content = Content(subject=subject, text="Réservé : 12,34 €\n", html="<p>Réservé : 12,34 €</p>")
    return Outgoing(
        key=UUID(int=7),
        message_id="<mail_7@flowlink.example>",
        sender="hello@flowlink.example",
        sender_name='Flöw "link", Inc.',
        to=to,
        content=content,
    )


def accept(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
    is_right = (data.login, data.password) == (b"flow", b"p@ss/word")
    return AuthResult(success=is_right, handled=False)


def test_a_mail_arrives_as_it_was_written(serve: Serve, mailbox: Mailbox) -> None:
    port = serve()

    reference = Smtp(f"smtp://127.0.0.1:{port}").deliver(mail())

    got = mailbox.only_message()
    text, html = got.get_body(("plain",)), got.get_body(("html",))
    assert reference == got["Message-ID"] == "<mail_7@flowlink.example>"
    assert (got["Subject"], got["To"]) == ("Bonjour, ça va ?", "ada@example.org")
    assert got["From"].addresses[0].display_name == 'Flöw "link", Inc.'
    assert got["Auto-Submitted"] == "auto-generated"
    assert text is not None
    assert text.get_content().strip() == "Réservé : 12,34 €"
    assert html is not None
    assert html.get_content().strip() == "<p>Réservé : 12,34 €</p>"
    assert mailbox.kept[0].rcpt_tos == ["ada@example.org"]


def test_an_address_beyond_ascii_needs_a_server_that_speaks_it(
    serve: Serve, mailbox: Mailbox
) -> None:
    new, old = serve(enable_SMTPUTF8=True), serve(enable_SMTPUTF8=False)

    with pytest.raises(Hopeless):
        Smtp(f"smtp://127.0.0.1:{old}").deliver(mail(to="josé@example.org"))
    assert mailbox.kept == []
    Smtp(f"smtp://127.0.0.1:{new}").deliver(mail(to="josé@example.org"))

    assert mailbox.kept[0].rcpt_tos == ["josé@example.org"]


@pytest.mark.parametrize("subject", ["Hello\r\nBcc: eve@example.org", "Hello\nX-Evil: 1"])
def test_a_line_break_in_a_header_never_leaves(
    serve: Serve, mailbox: Mailbox, subject: str
) -> None:
    port = serve()

    with pytest.raises(ValueError, match="linefeed"):
        Smtp(f"smtp://127.0.0.1:{port}").deliver(mail(subject=subject))

    assert mailbox.kept == []


@pytest.mark.parametrize(
    ("answers", "ending"),
    [
        ({"answer_to_recipient": "550 no such user"}, Hopeless),
        ({"answer_to_recipient": "450 mailbox busy"}, TryAgain),
        ({"answer": "554 refused as spam"}, Hopeless),
        ({"answer": "451 try later"}, TryAgain),
    ],
)
def test_a_refusal_ends_as_the_server_meant_it(
    serve: Serve, mailbox: Mailbox, answers: dict[str, str], ending: type[Exception]
) -> None:
    port = serve()
    for name, answer in answers.items():
        setattr(mailbox, name, answer)

    with pytest.raises(ending, match=next(iter(answers.values()))):
        Smtp(f"smtp://127.0.0.1:{port}").deliver(mail())

    assert mailbox.kept == []


def test_an_absent_server_is_worth_another_try() -> None:
    port = free_port()

    with pytest.raises(TryAgain, match=f"127.0.0.1:{port}"):
        Smtp(f"smtp://127.0.0.1:{port}").deliver(mail())


def test_a_password_goes_over_encryption(
    serve: Serve, mailbox: Mailbox, server_tls: ssl.SSLContext, trusting_tls: ssl.SSLContext
) -> None:
    port = serve(tls_context=server_tls, authenticator=accept, auth_required=True)
    url = f"smtp+starttls://flow:p%40ss%2Fword@localhost:{port}"

    Smtp(url, tls=trusting_tls).deliver(mail())

    assert len(mailbox.kept) == 1


def test_a_wrong_password_is_worth_another_try(
    serve: Serve, mailbox: Mailbox, server_tls: ssl.SSLContext, trusting_tls: ssl.SSLContext
) -> None:
    port = serve(tls_context=server_tls, authenticator=accept, auth_required=True)

    with pytest.raises(TryAgain, match="535"):
        Smtp(f"smtp+starttls://flow:no@localhost:{port}", tls=trusting_tls).deliver(mail())

    assert mailbox.kept == []


def test_a_stranger_s_certificate_is_refused(
    serve: Serve, mailbox: Mailbox, server_tls: ssl.SSLContext
) -> None:
    port = serve(tls_context=server_tls)

    with pytest.raises(TryAgain, match="certificate verify failed"):
        Smtp(f"smtp+starttls://localhost:{port}").deliver(mail())

    assert mailbox.kept == []


def test_a_server_without_encryption_gets_nothing_where_it_is_demanded(
    serve: Serve, mailbox: Mailbox
) -> None:
    port = serve()

    with pytest.raises(TryAgain, match="offers no encryption"):
        Smtp(f"smtp+starttls://localhost:{port}").deliver(mail())

    assert mailbox.kept == []


def test_smtps_is_encrypted_from_its_first_byte(
    serve: Serve, mailbox: Mailbox, server_tls: ssl.SSLContext, trusting_tls: ssl.SSLContext
) -> None:
    port = serve(ssl_context=server_tls)

    Smtp(f"smtps://localhost:{port}", tls=trusting_tls).deliver(mail())

    assert len(mailbox.kept) == 1


def test_a_rude_goodbye_does_not_undo_what_was_taken(serve: Serve, mailbox: Mailbox) -> None:
    port = serve()
    mailbox.goodbye = "421 too tired"

    Smtp(f"smtp://127.0.0.1:{port}").deliver(mail())

    assert len(mailbox.kept) == 1


@pytest.mark.parametrize("url", ["http://mail.example.org", "smtp://", "mail.example.org:25", ""])
def test_a_bad_url_is_said_at_once(url: str) -> None:
    with pytest.raises(ValueError, match="SMTP_URL"):
        Smtp(url)
