"""A small world to look at: a partner, a click, a sale that was confirmed, and what they read."""

from dataclasses import dataclass
from datetime import datetime

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.partners.ids import PartnerId
from flowlink.payouts import commissions, service as payouts
from flowlink.payouts.models import Withdrawal
from flowlink.tracking import postbacks, service as tracking
from flowlink.tracking.models import Conversion
from flowlink.tracking.postbacks import PostbackIn
from tests.factories import Person, make_partner
from tests.tracking.makers import Shop, make_click, make_shop, postback

ENGLISH = {"accept": "text/html", "accept-language": "en"}
FRENCH = {"accept": "text/html", "accept-language": "fr"}
IBAN = "FR1420041010050500013M02606"


@dataclass(frozen=True)
class World:
    """Ada's shop after a sale of 100 euros: 42.00 available, 18.00 in reserve."""

    ada: Person
    shop: Shop
    click: str
    conversion: Conversion


def make_world(
    session: Session,
    *,
    now: datetime,
    amount: str = "100.00",
    status: str = "approved",
    ada: Person | None = None,
) -> World:
    """One click that led to one sale, reported by its network and posted."""
    ada = ada or make_partner(session)
    made = make_shop(session, now=now)
    link = tracking.create_link(session, partner_id=ada.partner_id, now=now)
    shop = Shop(ada.partner_id, link, made.key)
    click = make_click(session, shop, now)
    found = report(session, shop, now=now, subid=click, amount=amount, status=status, txn_id="t1")
    return World(ada=ada, shop=shop, click=click, conversion=found)


def report(session: Session, shop: Shop, *, now: datetime, **fields: str) -> Conversion:
    """A postback of the shop's network, understood and posted."""
    request = PostbackIn(method="GET", query=postback(shop, **fields), address="203.0.113.7")
    result = postbacks.receive(session, request=request, now=now)
    assert result.conversion_id is not None, result
    commissions.post_conversions(session, conversion_ids=[result.conversion_id], now=now)
    return session.get_one(Conversion, result.conversion_id)


def click_again(session: Session, world: World, *, now: datetime) -> str:
    """A click on another link of the same partner: the same visitor counts once a link."""
    link = tracking.create_link(session, partner_id=world.ada.partner_id, now=now)
    return make_click(session, Shop(world.ada.partner_id, link, world.shop.key), now)


def withdraw(session: Session, partner_id: PartnerId, amount: str, *, now: datetime) -> Withdrawal:
    """A withdrawal to a bank account."""
    return payouts.request_withdrawal(
        session,
        partner_id=partner_id,
        amount=Money.parse(amount),
        rail="bank",
        details=IBAN,
        policy=policies.at(session, now),
        now=now,
    )


def read(client: TestClient, path: str, **headers: str) -> str:
    """The page at `path`, in English unless `headers` say otherwise; it must be there."""
    answer = client.get(path, headers=ENGLISH | headers)
    assert answer.status_code == 200, (answer.status_code, path)
    return answer.text


def status(client: TestClient, path: str, **headers: str) -> int:
    return client.get(path, headers=ENGLISH | headers, follow_redirects=False).status_code


def send(client: TestClient, path: str, **form: str) -> tuple[int, str]:
    """A form's status and where it leads, or what its refusal says."""
    answer = client.post(path, data=form, headers=ENGLISH, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", answer.text)
