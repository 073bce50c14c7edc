"""The inbox takes care: of what fails, of strangers, of forms in parts, of reports' own dates."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from flowlink.kernel import clock, db
from flowlink.tracking import jobs, networks, postbacks, reports, settling
from flowlink.tracking.ids import NetworkId
from flowlink.tracking.postbacks import PostbackIn
from flowlink.tracking.strangers import OF_ALL, OF_ONE_ADDRESS, Strangers
from tests.tracking.makers import (
    Shop,
    ask,
    committed_shop,
    conversions,
    make_click,
    postback,
    rows,
)

BOUNDARY = "multipart/form-data; boundary=b"


def form(**fields: str) -> bytes:
    head = '--b\r\nContent-Disposition: form-data; name="'
    parts = [f'{head}{name}"\r\n\r\n{value}\r\n' for name, value in fields.items()]
    return ("".join(parts) + "--b--\r\n").encode()


def test_a_form_in_parts_is_read_and_kept_without_its_key(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    body = form(network="direct", key=shop.key, subid=click, amount="7.50", txn_id="é1")
    request = PostbackIn("POST", "", BOUNDARY, body)

    result = postbacks.receive(session, request=request, now=now)

    assert (result.result, conversions(session)) == ("ok", [("approved", 750, 1)])
    ((kept,),) = rows(session, "SELECT body FROM tracking_postback")
    assert shop.key.encode() not in bytes(kept)  # type: ignore[call-overload]
    assert click.encode() in bytes(kept)  # type: ignore[call-overload]
    assert rows(session, "SELECT txn_id FROM tracking_conversion") == [("é1",)]


def test_a_broken_form_in_parts_hides_no_key(session: Session, shop: Shop, now: datetime) -> None:
    body = form(key=shop.key) + b"\xff" + form(key=shop.key)[:30]
    query = postback(shop, subid="x", amount="1")

    postbacks.receive(
        session, request=PostbackIn("POST", query, "multipart/form-data", body), now=now
    )

    ((kept,),) = rows(session, "SELECT body FROM tracking_postback")
    assert shop.key.encode() not in bytes(kept)  # type: ignore[call-overload]


@pytest.mark.usefixtures("database")
def test_one_that_crashes_stops_no_other_and_is_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    shop = committed_shop()
    now = clock.now()
    with db.write() as session:
        click = make_click(session, shop, now)
        for name in ("a", "bad", "b"):
            query = postback(shop, subid=click, amount="1", txn_id=name)
            postbacks.keep(session, request=PostbackIn("GET", query), now=now)
    true_settle = settling.settle

    def settle(session: Session, told: Sequence[settling.Told], *, now: datetime) -> object:
        if any(one.claim.txn_id == "bad" for one in told):
            raise ArithmeticError
        return true_settle(session, told, now=now)

    monkeypatch.setattr(settling, "settle", settle)

    said = jobs.postback_rematch(now + timedelta(hours=1))

    assert said == "2 of 3 orphans matched, 1 could not be read"
    log = "SELECT result, reason, attempts FROM tracking_postback ORDER BY id"
    assert ask(log) == [("ok", None, 1), ("received", "failed", 1), ("ok", None, 1)]
    monkeypatch.setattr(settling, "settle", true_settle)
    jobs.postback_rematch(now + timedelta(hours=2))
    assert ask(log) == [("ok", None, 1), ("ok", None, 2), ("ok", None, 1)]


def test_strangers_fill_no_disk(session: Session, shop: Shop, now: datetime) -> None:
    strangers = Strangers()
    bad = PostbackIn("GET", "network=direct&key=wrong", address="203.0.113.5")

    for _ in range(2):
        answers = postbacks.receive_all(
            session,
            requests=[bad] * OF_ONE_ADDRESS,
            now=now,
            keep_stranger=lambda address: strangers.admit(address, now=now),
        )
        assert {one.reason for one in answers} == {"wrong_key"}

    assert rows(session, "SELECT count(*) FROM tracking_postback") == [(OF_ONE_ADDRESS,)]
    assert sum(strangers.admit(str(n), now=now) for n in range(OF_ALL)) == OF_ALL - OF_ONE_ADDRESS
    assert strangers.admit("203.0.113.5", now=now + timedelta(minutes=1))


@pytest.mark.usefixtures("database")
def test_strangers_are_forgotten_and_networks_are_not() -> None:
    shop = committed_shop()
    now = clock.now()
    with db.write() as session:
        for query in ("network=direct&key=x", "network=nobody", postback(shop, subid="nobody")):
            postbacks.keep(session, request=PostbackIn("GET", query), now=now)

    assert jobs.postback_forget(now + timedelta(days=29)).startswith("0 ")
    assert jobs.postback_forget(now + timedelta(days=31)).startswith("2 ")

    assert ask("SELECT key_ok FROM tracking_postback") == [(True,)]


def test_a_conversion_from_a_report_is_of_the_day_that_the_report_says(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    network = networks.named(session, "direct")
    at = now - timedelta(days=3)
    content = f"subid,amount,txn_id,happened_at\n{click},4.00,o1,{at.isoformat()}\n".encode()
    report = reports.take(
        session,
        network_id=NetworkId(network.id),
        filename="march.csv",
        content=content,
        actor="test",
        now=now,
    )
    reports.start(session, report_id=report.id, actor="test", now=now)
    reports.book_batch(session, report_id=report.id, now=now)

    assert rows(session, "SELECT occurred_at, updated_at FROM tracking_conversion") == [(at, now)]
