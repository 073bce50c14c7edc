"""Networks that change, words that are taught, keys that are replaced, presets."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.kernel import jobs
from flowlink.kernel.errors import FlowlinkError
from flowlink.tracking import network_changes, networks, postbacks, presets, replays
from flowlink.tracking.ids import NetworkId, PostbackId
from flowlink.tracking.models import Network, Postback, Status
from flowlink.tracking.postbacks import PostbackIn
from flowlink.tracking.replays import Chosen
from tests.tracking.makers import Send, Shop, conversions, make_click, postback, rows

ADMIN = {"x-admin-secret": "an-admin-secret-for-tests-only"}


@pytest.fixture(autouse=True)
def handlers() -> None:
    registry.load()


def direct(session: Session) -> Network:
    return networks.named(session, "direct")


def teach(session: Session, word: str, meaning: Status, now: datetime) -> None:
    network_id = NetworkId(direct(session).id)
    network_changes.teach(
        session, network_id=network_id, word=word, meaning=meaning, actor="test", now=now
    )


def test_a_taught_word_is_read_again_wherever_it_waits(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    assert send(subid=click, amount="5.00", status="Validé") == ("quarantined", "unknown_status")
    assert send(subid=click, amount="9.00", status="other", txn_id="t2")[0] == "quarantined"

    teach(session, " VALIDÉ ", Status.APPROVED, now)
    session.flush()
    jobs.run_pending(now + timedelta(seconds=1))
    session.expire_all()

    assert conversions(session) == [("approved", 500, 1)]
    results = rows(session, "SELECT word, result FROM tracking_postback ORDER BY id")
    assert results == [("validé", "ok"), ("other", "quarantined")]
    audited = rows(session, "SELECT action, details->>'word' FROM kernel_audit ORDER BY id DESC")
    assert audited[0] == ("network.taught", "validé")
    assert send(subid=click, amount="5.00", status="validé") == ("duplicate", "already_known")


@pytest.mark.parametrize(
    "field",
    ["click_param", "fields", "statuses", "amount_unit", "addresses", "rebill", "lookback_days"],
)
def test_of_what_cannot_be_empty_nothing_says_nothing(
    session: Session, client: TestClient, shop: Shop, field: str
) -> None:
    before = network_changes.map_of(direct(session))

    answer = client.patch("/api/admin/networks/direct", json={field: None}, headers=ADMIN)

    assert answer.status_code == 200
    assert network_changes.map_of(direct(session)) == before


def test_our_own_words_keep_their_meaning(session: Session, shop: Shop, now: datetime) -> None:
    before = dict(direct(session).statuses)

    with pytest.raises(networks.BadStatusWord):
        teach(session, "approved", Status.REJECTED, now)

    assert direct(session).statuses == before


def test_an_orphan_is_read_again_by_hand(
    session: Session, shop: Shop, send: Send, now: datetime
) -> None:
    assert send(subid="no-click", amount="5.00", txn_id="t1")[0] == "orphan"
    (found,) = session.query(Postback).all()

    again = replays.one(session, postback_id=PostbackId(found.id), actor="test", now=now)

    assert (again.result, found.attempts) == ("orphan", 2)
    assert conversions(session) == []


def test_what_is_settled_is_not_read_again(
    session: Session, click: str, send: Send, now: datetime
) -> None:
    send(subid=click, amount="5.00", status="approved")
    (found,) = session.query(Postback).all()

    with pytest.raises(replays.NothingToReplay):
        replays.one(session, postback_id=PostbackId(found.id), actor="test", now=now)

    assert conversions(session) == [("approved", 500, 1)]


def test_what_a_wrong_key_sent_is_never_read(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    forged = f"network=direct&key={'x' * 20}&subid={click}&amount=5.00"
    postbacks.receive(session, request=PostbackIn("GET", forged), now=now)
    (found,) = session.query(Postback).all()

    with pytest.raises(replays.NoSender):
        replays.one(session, postback_id=PostbackId(found.id), actor="test", now=now)

    assert conversions(session) == []


def test_what_came_from_a_forbidden_address_is_read_once_it_is_allowed(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    network = direct(session)
    network.addresses = ["198.51.100.0/24"]
    session.flush()
    query = postback(shop, subid=click, amount="5.00", status="approved")
    postbacks.receive(session, request=PostbackIn("GET", query, address="203.0.113.1"), now=now)
    (found,) = session.query(Postback).all()
    with pytest.raises(replays.NothingToReplay):
        replays.one(session, postback_id=PostbackId(found.id), actor="test", now=now)
    network.addresses = []
    session.flush()

    replays.one(session, postback_id=PostbackId(found.id), actor="test", now=now)

    assert conversions(session) == [("approved", 500, 1)]


def test_all_that_match_are_read_again(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    send(subid=click, status="approved")
    send(subid=click, amount="1.00", status="odd", txn_id="t2")
    network = direct(session)
    network.statuses = {**network.statuses, "odd": "approved"}

    waiting = replays.ask(session, chosen=Chosen(reason="unknown_status"), actor="test", now=now)
    session.flush()
    jobs.run_pending(now + timedelta(seconds=1))

    assert waiting == 1
    assert conversions(session) == [("approved", 100, 1)]


def test_the_old_key_is_believed_for_its_days(
    session: Session, shop: Shop, send: Send, now: datetime
) -> None:
    click = make_click(session, shop, now)
    network = network_changes.rotate_key(
        session, network_id=NetworkId(direct(session).id), grace_days=2, actor="test", now=now
    )
    session.flush()

    assert networks.key_of(network) != shop.key
    assert send(subid=click, amount="5.00", status="approved")[0] == "ok"
    late = now + timedelta(days=3)
    assert send(at=late, subid=click, amount="6.00", status="approved")[1] == "wrong_key"
    nameless = PostbackIn("GET", f"key={shop.key}&subid={click}&amount=7.00")
    assert postbacks.receive(session, request=nameless, now=late).reason == "wrong_key"
    assert conversions(session) == [("approved", 500, 1)]


def test_without_grace_the_old_key_is_worth_nothing(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    network_changes.rotate_key(
        session, network_id=NetworkId(direct(session).id), grace_days=0, actor="test", now=now
    )
    session.flush()

    assert send(subid=click, amount="5.00")[1] == "wrong_key"
    assert conversions(session) == []


@pytest.mark.parametrize("preset", presets.every(), ids=lambda preset: preset.name)
def test_every_preset_makes_a_network_and_names_its_source(
    session: Session, shop: Shop, now: datetime, preset: presets.Preset
) -> None:
    network = network_changes.from_preset(session, preset=preset.name, actor="test", now=now)

    url = networks.url_of(network)

    assert all(place in url for place in preset.places.values())
    assert {"subid", "amount", "currency"} <= preset.places.keys()
    assert preset.source_url.startswith("https://")
    assert preset.source_title


def test_twenty_networks_are_known_each_once() -> None:
    names = [preset.name for preset in presets.every()]

    assert len(names) >= 20
    assert names == sorted(set(names))


def test_an_unknown_preset_makes_nothing(session: Session, shop: Shop, now: datetime) -> None:
    before = session.query(Network).count()

    with pytest.raises(FlowlinkError):
        network_changes.from_preset(session, preset="nowhere", actor="test", now=now)

    assert session.query(Network).count() == before


def test_a_preset_without_a_currency_books_nothing_until_one_is_written(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    network = network_changes.from_preset(session, preset="cake", actor="test", now=now)
    sent = networks.url_of(network).partition("?")[2]
    sent = sent.replace("#s2#", click).replace("#price#", "5.00").replace("#leadid#", "l1")

    refused = postbacks.receive(session, request=PostbackIn("GET", sent), now=now)
    mended = sent.replace("CURRENCY", "EUR")
    taken = postbacks.receive(session, request=PostbackIn("GET", mended), now=now)

    assert (refused.result, refused.reason) == ("quarantined", "unsupported_currency")
    assert taken.result == "ok"
    assert conversions(session) == [("approved", 500, 1)]
