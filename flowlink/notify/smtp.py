"""Mail over SMTP, to the server that `SMTP_URL` names."""

import smtplib
import ssl
from contextlib import closing, suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import formatdate
from ipaddress import ip_address
from urllib.parse import unquote, urlsplit

from flowlink.notify.transport import Hopeless, Outgoing, TryAgain

TIMEOUT_S = 20
_PORTS = {"smtp": 25, "smtp+starttls": 587, "smtps": 465}
_PERMANENT = range(500, 600)


class Smtp:
    """`smtp://[user:password@]host[:port]`, with the schemes `smtps` and `smtp+starttls`.

    Plain `smtp` encrypts when the server offers it. A password never crosses a network in the
    clear: then the mail waits, and its error says so.
    """

    name = "smtp"

    def __init__(self, url: str, *, tls: ssl.SSLContext | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme not in _PORTS or not parts.hostname:
            raise ValueError("SMTP_URL is smtp://, smtps:// or smtp+starttls:// with a host")
        self._scheme = parts.scheme
        self._host = parts.hostname
        self._port = parts.port or _PORTS[parts.scheme]
        self._user = unquote(parts.username or "")
        self._password = unquote(parts.password or "")
        self._tls = tls or ssl.create_default_context()

    def deliver(self, mail: Outgoing) -> str:
        try:
            with closing(self._connected()) as server:
                self._protect(server)
                if self._user:
                    server.login(self._user, self._password)
                server.send_message(message_of(mail))
                with suppress(smtplib.SMTPException, OSError):  # it has taken the mail by now
                    server.quit()
        except smtplib.SMTPRecipientsRefused as error:
            raise _refusal(*next(iter(error.recipients.values()))) from error
        except smtplib.SMTPDataError as error:
            raise _refusal(error.smtp_code, error.smtp_error) from error
        except smtplib.SMTPResponseException as error:
            raise TryAgain(_said(error.smtp_code, error.smtp_error)) from error
        except smtplib.SMTPNotSupportedError as error:
            raise Hopeless(str(error)) from error
        except (smtplib.SMTPException, OSError) as error:
            raise TryAgain(f"{self._host}:{self._port}: {error}") from error
        return mail.message_id

    def _connected(self) -> smtplib.SMTP:
        if self._scheme == "smtps":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_S, context=self._tls)
        return smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S)

    def _protect(self, server: smtplib.SMTP) -> None:
        """Encrypt before anything that matters is said."""
        server.ehlo()
        if self._scheme == "smtps" or (self._scheme == "smtp" and _is_loopback(self._host)):
            return
        if server.has_extn("starttls"):
            server.starttls(context=self._tls)
            server.ehlo()
        elif self._scheme == "smtp+starttls" or self._user:
            raise TryAgain(f"{self._host}:{self._port} offers no encryption")


def message_of(mail: Outgoing) -> EmailMessage:
    """The mail as RFC 5322 has it; the policy refuses line breaks in headers."""
    message = EmailMessage(policy=SMTP)
    message["Subject"] = mail.content.subject
    message["From"] = Address(mail.sender_name, addr_spec=mail.sender)
    message["To"] = mail.to
    message["Date"] = formatdate(localtime=False)
    message["Message-ID"] = mail.message_id
    message["Auto-Submitted"] = "auto-generated"  # RFC 3834: no holiday replies to us
    message.set_content(mail.content.text)
    message.add_alternative(mail.content.html, subtype="html")
    return message


def _refusal(code: int, text: bytes | str) -> TryAgain | Hopeless:
    return (Hopeless if code in _PERMANENT else TryAgain)(_said(code, text))


def _said(code: int, text: bytes | str) -> str:
    words = text.decode("utf-8", "replace") if isinstance(text, bytes) else text
    return f"{code} {words}"


def _is_loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
