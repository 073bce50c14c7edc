"""People as they use a running flowlink: signed in by mail, reading pages, filling in forms."""

import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

import httpx2

from flowlink.identity import service as identity
from flowlink.kernel import clock, db
from tests.factories import make_operator
from tests.patience import LONG_S
from tests.tracking.makers import BROWSER

ENGLISH = {"accept": "text/html", "accept-language": "en", "user-agent": BROWSER}


@dataclass(frozen=True)
class Person:
    """Somebody with a browser of their own, cookies included."""

    browser: httpx2.Client

    def read(self, path: str) -> str:
        answer = self.browser.get(path)
        assert answer.status_code == 200, (answer.status_code, path)
        return answer.text

    def send(self, path: str, **form: str) -> str:
        """Fill in a form; returns where it leads."""
        answer = self.browser.post(path, data=form)
        assert answer.status_code == 303, (answer.status_code, path, answer.text)
        return str(answer.headers["location"])

    def refused(self, path: str, **form: str) -> str:
        """Fill in a form that is refused; returns what the page says."""
        answer = self.browser.post(path, data=form)
        assert answer.status_code == 400, (answer.status_code, path)
        return str(answer.text)


def visitor(url: str) -> Person:
    one_by_one = httpx2.Limits(max_keepalive_connections=0)  # nothing is left open behind a test
    return Person(httpx2.Client(base_url=url, headers=ENGLISH, timeout=LONG_S, limits=one_by_one))


def operator(url: str) -> Person:
    """The operator, through the link that the command line prints."""
    with db.write() as session:
        staff = make_operator(session)
        token = identity.make_link(session, email=staff.email, now=clock.now(), from_cli=True)
    person = visitor(url)
    assert person.send(f"/login/verify?token={token}") == "/admin/monitoring"
    return person


def mailed_link(staff: Person, address: str) -> str:
    """The sign-in link in the mail to `address`, as the outbox page shows it."""

    def find() -> str | None:
        listed = staff.read("/admin/mails")
        for mail in re.findall(r'href="(/admin/mails/mail_\w+)"', listed):
            shown = staff.read(mail)
            link = re.search(r"(/(?:partner/login|login/verify)\?token=[\w-]+)", shown)
            if address in shown and link:
                return link.group(1)
        return None

    return eventually(find)


def eventually(ask: Callable[[], "str | None"]) -> str:
    """The first answer there is, within the time that people wait."""
    deadline = time.monotonic() + LONG_S
    while (found := ask()) is None:
        assert time.monotonic() < deadline, "nothing happened"
        time.sleep(0.05)
    return found


def parameter(url: str, name: str) -> str:
    (value,) = parse_qs(urlsplit(url).query)[name]
    return value
