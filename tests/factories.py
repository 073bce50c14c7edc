"""Makers of what a test is about: plain functions that name only that."""

import socket
from dataclasses import dataclass
from itertools import count
from uuid import UUID, uuid4

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.deps import cookie_name
from flowlink.identity.ids import UserId
from flowlink.identity.models import Role
from flowlink.kernel import clock, db
from flowlink.kernel.money import Money
from flowlink.ledger import queries as ledger_queries, service as ledger
from flowlink.ledger.service import AccountKind, Code, Entry, EntryKind, Transfer
from flowlink.partners import service as partners
from flowlink.partners.ids import PartnerId

_numbers = count(1)


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@dataclass(frozen=True)
class Person:
    """Somebody who can sign in, and the partner they are, if any."""

    user_id: UserId
    email: str
    partner_id: PartnerId


def make_person(session: Session, email: str = "") -> Person:
    """Somebody with an account and no hat at all."""
    address = email or f"person-{next(_numbers)}-{uuid4().hex[:6]}@example.org"
    user_id = UserId(identity.ensure_user(session, email=address, now=clock.now()).id)
    return Person(user_id=user_id, email=address, partner_id=PartnerId(UUID(int=0)))


def make_partner(session: Session, available: str = "0.00", email: str = "") -> Person:
    """An active partner with money that can be withdrawn at once."""
    now = clock.now()
    address = email or f"partner-{next(_numbers)}-{uuid4().hex[:6]}@example.org"
    user_id = UserId(identity.ensure_user(session, email=address, now=now).id)
    partner_id = PartnerId(partners.ensure_active(session, user_id=user_id, now=now).id)
    person = Person(user_id=user_id, email=address, partner_id=partner_id)
    if amount := Money.parse(available):
        give(session, person, amount)
    return person


def give(session: Session, person: Person, amount: Money) -> None:
    """Make money available to a partner, as a correction does."""
    transfer = Transfer(
        ledger.account(AccountKind.REVENUE, currency=amount.currency),
        ledger.account(AccountKind.AVAILABLE, person.partner_id, amount.currency),
        amount,
        Code.CORRECTION,
    )
    now = clock.now()
    entry = Entry(f"correction:{uuid4()}", EntryKind.CORRECTION, (transfer,), now)
    ledger.post(session, entry, now)


def balance(session: Session, person: Person, kind: str) -> str:
    """What a partner has in one of their accounts, as in `30.00 EUR`."""
    place = ledger.account(AccountKind(kind), person.partner_id)
    return str(ledger_queries.balance(session, place))


def balance_micro(session: Session, person: Person, kind: str) -> int:
    """What a partner has in one of their accounts, in millionths."""
    place = ledger.account(AccountKind(kind), person.partner_id)
    return ledger_queries.balance(session, place).micro


def make_operator(session: Session, email: str = "") -> Person:
    """Staff who run the business; as a partner they are nobody."""
    now = clock.now()
    address = email or f"operator-{next(_numbers)}-{uuid4().hex[:6]}@example.org"
    user_id = UserId(identity.ensure_user(session, email=address, now=now).id)
    identity.set_staff(session, user_id=user_id, role=Role.OPERATOR, actor="test", now=now)
    return Person(user_id=user_id, email=address, partner_id=PartnerId(UUID(int=0)))


def sign_in(client: TestClient, person: Person) -> Person:
    """Let the client's next requests be this person's."""
    now = clock.now()
    with db.write() as session:
        token = identity.make_link(session, email=person.email, now=now, from_cli=True)
        opened = identity.consume_link(session, token=token, now=now)
    client.cookies.set(cookie_name(), opened.session_token)
    return person
