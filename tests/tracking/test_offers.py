"""Offers change by versions: what happened before keeps the terms that it happened under."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.tracking import networks, offers, postbacks, queries, service as tracking
from flowlink.tracking.ids import OfferId
from flowlink.tracking.models import Conversion, Mode, Offer, OfferVersion, Stop
from flowlink.tracking.offers import OfferIn
from tests.tracking.makers import Shop, make_click, make_shop, postback, rows

ADMIN = {"x-admin-secret": "an-admin-secret-for-tests-only", "accept": "application/json"}
BODY = {
    "name": "summer",
    "network": "direct",
    "mode": "cpc",
    "destination": "https://shop.example/",
    "cpc": "0.085",
}


@pytest.fixture
def shop(session: Session, now: datetime) -> Shop:
    return make_shop(session, now=now)


def changed(session: Session, offer: Offer, *, at: datetime, **terms: object) -> Offer:
    return offers.change(
        session,
        offer_id=OfferId(offer.id),
        terms=replace(offers.terms_of(offer), **terms),  # type: ignore[arg-type]
        version=offer.version,
        actor="test",
        now=at,
    )


def default(session: Session) -> Offer:
    return offers.named(session, "default")


def sale(session: Session, shop: Shop, click: str, now: datetime) -> Conversion:
    request = postbacks.PostbackIn(
        method="GET",
        query=postback(shop, subid=click, amount="10", txn_id=click),
        address="203.0.113.7",
    )
    found = postbacks.receive(session, request=request, now=now)
    assert found.conversion_id is not None
    return session.get_one(Conversion, found.conversion_id)


def test_a_change_is_a_version_and_the_same_terms_are_none(
    session: Session, shop: Shop, now: datetime
) -> None:
    offer = changed(session, default(session), at=now, share_bps=2000)
    changed(session, offer, at=now, share_bps=2000)

    kept = select(OfferVersion).where(OfferVersion.offer_id == offer.id)
    versions = session.scalars(kept.order_by(OfferVersion.version)).all()
    assert [(one.version, one.share_bps) for one in versions] == [(1, None), (2, 2000)]
    told = rows(session, "SELECT actor FROM kernel_audit WHERE action = 'offer.changed'")
    assert told == [("test",)]


def test_a_version_is_never_changed(session: Session, shop: Shop) -> None:
    version = session.scalars(select(OfferVersion)).first()
    assert version is not None

    version.share_bps = 1

    with pytest.raises(DBAPIError, match="append"):
        session.flush()


def test_a_sale_pins_the_terms_of_its_click(session: Session, shop: Shop, now: datetime) -> None:
    before = make_click(session, shop, now - timedelta(minutes=2))
    changed(session, default(session), at=now - timedelta(minutes=1), share_bps=2000)
    later = tracking.create_link(session, partner_id=shop.partner_id, now=now)
    after = make_click(session, Shop(shop.partner_id, later, shop.key), now)

    old, new = sale(session, shop, before, now), sale(session, shop, after, now)

    assert (old.offer_version, old.share_bps) == (1, 6000)
    assert (new.offer_version, new.share_bps) == (2, 2000)


def test_who_comes_second_is_told(session: Session, shop: Shop, now: datetime) -> None:
    offer = default(session)
    changed(session, offer, at=now, share_bps=2000)

    with pytest.raises(offers.OfferChanged):
        offers.change(
            session,
            offer_id=OfferId(offer.id),
            terms=replace(offers.terms_of(offer), share_bps=3000),
            version=1,
            actor="test",
            now=now,
        )

    assert offer.share_bps == 2000


def make(session: Session, now: datetime, **terms: object) -> Offer:
    given = OfferIn(
        name="clicks",
        mode=Mode.CPC,
        destination="https://shop.example/",
        cpc=Money.parse("0.10"),
        **terms,  # type: ignore[arg-type]
    )
    network = networks.named(session, "direct")
    changed(session, default(session), at=now, active=False)
    return offers.create(session, given=given, network=network, actor="test", now=now)


@pytest.mark.parametrize(
    ("budget", "stopped"), [("0.09", Stop.BUDGET), ("0.10", None), (None, Stop.BUDGET)]
)
def test_the_current_offer_says_that_it_pays_nothing_now(
    session: Session, shop: Shop, now: datetime, budget: str | None, stopped: Stop | None
) -> None:
    make(session, now, budget=Money.parse(budget) if budget else None)

    shown = queries.current_offer(session, now)

    assert shown is not None
    assert (shown.name, str(shown.headline_cpc), shown.stopped) == ("clicks", "0.10 EUR", stopped)


def test_what_has_not_begun_or_has_ended_is_not_current(
    session: Session, shop: Shop, now: datetime
) -> None:
    offer = make(session, now, starts_at=now + timedelta(hours=1), ends_at=now + timedelta(hours=2))

    assert queries.current_offer(session, now) is None
    begun = queries.current_offer(session, now + timedelta(hours=1))
    assert begun is not None
    assert begun.name == offer.name
    assert queries.current_offer(session, now + timedelta(hours=2)) is None


def test_an_ended_offer_gets_no_new_links(session: Session, shop: Shop, now: datetime) -> None:
    offer = make(session, now, ends_at=now + timedelta(hours=1))

    with pytest.raises(offers.NoOffer):
        tracking.create_link(
            session,
            partner_id=shop.partner_id,
            offer_id=OfferId(offer.id),
            now=now + timedelta(hours=1),
        )


def test_programs_make_change_pause_and_fund_an_offer(
    session: Session, client: TestClient, shop: Shop
) -> None:
    path = "/api/admin/offers"
    made = client.post(path, json=BODY | {"budget": "5", "cap_daily": "2"}, headers=ADMIN).json()
    assert (made["version"], made["stopped"], made["cap_daily"]["amount"]) == (1, None, "2.00")

    dearer = client.patch(f"{path}/summer", json={"cpc": "0.09", "version": 1}, headers=ADMIN)
    assert (dearer.status_code, dearer.json()["version"]) == (200, 2)
    stale = client.patch(f"{path}/summer", json={"cpc": "0.10", "version": 1}, headers=ADMIN)
    assert stale.status_code == 409
    paused = client.patch(f"{path}/{made['id']}", json={"active": False}, headers=ADMIN).json()
    assert (paused["stopped"], paused["active"], paused["cpc"]["amount"]) == (
        "paused",
        False,
        "0.09",
    )

    fund = f"{path}/summer/budget"
    for _ in range(2):
        funded = client.post(fund, json={"amount": "1", "once": "a"}, headers=ADMIN).json()
    assert funded["budget"]["amount"] == "6.00"
    back = client.post(fund, json={"amount": "4", "take_back": True}, headers=ADMIN).json()
    assert back["budget"]["amount"] == "2.00"
    more = client.post(fund, json={"amount": "2.01", "take_back": True}, headers=ADMIN)
    assert more.status_code == 409
    assert client.get(f"{path}/summer", headers=ADMIN).json()["budget"]["amount"] == "2.00"

    versions = client.get(f"{path}/summer/versions", headers=ADMIN).json()["versions"]
    assert [(one["version"], one["active"]) for one in versions] == [
        (3, False),
        (2, True),
        (1, True),
    ]
    actions = [row[0] for row in rows(session, "SELECT action FROM kernel_audit ORDER BY id")]
    assert actions.count("offer.funded") == 2
    assert actions.count("offer.budget_taken_back") == 1


def test_a_cpc_offer_can_become_one_that_shares(
    session: Session, client: TestClient, shop: Shop
) -> None:
    client.post("/api/admin/offers", json=BODY, headers=ADMIN)

    answer = client.patch("/api/admin/offers/summer", json={"mode": "revshare"}, headers=ADMIN)

    assert (answer.status_code, answer.json()["cpc"]) == (200, None)


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/summer", {"cpc": "0"}, 422),
        ("/summer", {"mode": "revshare", "cpc": "0.10"}, 422),
        ("/summer", {"cap_total": "-1"}, 422),
        ("/summer", {"starts_at": "2026-12-02T00:00Z", "ends_at": "2026-12-01T00:00Z"}, 422),
        ("/summer", {"starts_at": "2026-12-02T00:00:00"}, 422),
        ("/summer", {"ends_at": "9999-12-31T23:59:59-14:00"}, 422),
        ("/summer", {"name": "other"}, 422),
        ("/nothing", {"cpc": "0.10"}, 404),
    ],
)
def test_bad_changes_are_refused(
    session: Session, client: TestClient, shop: Shop, path: str, body: object, status: int
) -> None:
    client.post("/api/admin/offers", json=BODY, headers=ADMIN)

    assert client.patch(f"/api/admin/offers{path}", json=body, headers=ADMIN).status_code == status

    assert offers.named(session, "summer").version == 1


@pytest.mark.parametrize("amount", ["0", "-1", "x", "1_0", "٣", "NaN", "1e400"])
def test_a_bad_funding_moves_nothing(
    session: Session, client: TestClient, shop: Shop, amount: str
) -> None:
    client.post("/api/admin/offers", json=BODY, headers=ADMIN)

    answer = client.post("/api/admin/offers/summer/budget", json={"amount": amount}, headers=ADMIN)

    assert answer.status_code == 422
    assert rows(session, "SELECT count(*) FROM ledger_entry WHERE kind = 'budget'") == [(0,)]


def test_changing_offers_is_for_operators(client: TestClient) -> None:
    assert client.patch("/api/admin/offers/default", json={}).status_code == 401
    assert client.post("/api/admin/offers/default/budget", json={}).status_code == 401
