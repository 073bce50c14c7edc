"""Clicks in batches: exact counts under several writers, days that turn, and what is forgotten."""

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy.orm import Session

from flowlink.kernel import db
from flowlink.kernel.money import Money
from flowlink.tracking import clickid, clicks, housekeeping, jobs, postbacks, queries
from flowlink.tracking.clicks import Visit
from flowlink.tracking.models import Mode, Reason
from flowlink.tracking.postbacks import PostbackIn
from tests.tracking.makers import BROWSER, Shop, ask, committed_shop, make_shop, postback, rows

MIDNIGHT = datetime(2026, 11, 21, tzinfo=UTC)


def visit(shop: Shop, at: datetime, *, address: str = "203.0.113.9", agent: str = BROWSER) -> Visit:
    return Visit(shop.link.code, at, address, agent, "blog.example", Reason.VALID)


def test_a_visitor_counts_again_on_the_next_day(session: Session, shop: Shop) -> None:
    before, after = MIDNIGHT - timedelta(seconds=1), MIDNIGHT + timedelta(seconds=1)

    clicks.store(session, visits=[visit(shop, before), visit(shop, before), visit(shop, after)])

    days = queries.clicks_per_day(
        session, partner_id=shop.partner_id, since=before.date(), until=after.date()
    )
    assert [(one.valid, one.flagged) for one in days] == [(1, 1), (1, 0)]
    hashes = rows(session, "SELECT DISTINCT visitor FROM tracking_click")
    assert len(hashes) == 2


def test_visits_of_any_order_and_time_land_on_their_days(session: Session, shop: Shop) -> None:
    moments = [MIDNIGHT + timedelta(hours=hours) for hours in (30, -50, 3)]

    stored = clicks.store(session, visits=[visit(shop, moment) for moment in moments])

    assert [clickid.at(one.number) for one in stored if one] == moments
    tables = rows(
        session, "SELECT DISTINCT tableoid::regclass::text FROM tracking_click ORDER BY 1"
    )
    assert [name for (name,) in tables] == [
        f"tracking_click_{moment:%Y%m%d}" for moment in sorted(moments)
    ]


def test_clicks_from_before_their_day_was_prepared_move_along(session: Session, shop: Shop) -> None:
    ((link, partner),) = rows(session, "SELECT 1, 1")
    far = clickid.floor(MIDNIGHT + timedelta(days=400))
    rows_before = "INSERT INTO tracking_click VALUES (:id, 1, :link, :partner, 1, 1, 0) RETURNING 1"
    rows(session, rows_before, id=far + 5, link=link, partner=partner)
    assert rows(session, "SELECT id FROM tracking_click_default") == [(far + 5,)]

    day = (MIDNIGHT + timedelta(days=400)).date()
    assert housekeeping.ensure_partition(session, day=day)
    assert not housekeeping.ensure_partition(session, day=day)

    assert rows(session, "SELECT id FROM tracking_click_default") == []
    assert rows(session, "SELECT id FROM tracking_click") == [(far + 5,)]


def test_two_writers_at_once_count_exactly_and_never_deadlock(database: str) -> None:
    shops = [committed_shop() for _ in range(3)]
    moment = MIDNIGHT + timedelta(hours=9)

    def write(writer: int) -> None:
        for batch in range(15):
            visits = [
                visit(one, moment, address=f"10.0.{batch}.{n}", agent=f"{BROWSER} {writer * n % 7}")
                for n in range(10)
                for one in shops[:: 1 if writer % 2 else -1]
            ]
            with db.write() as session:
                clicks.store(session, visits=visits)

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    stored = "SELECT count(*) FILTER (WHERE reason = 0), count(*) FILTER (WHERE reason = 4)"
    raw = ask(f"{stored} FROM tracking_click")
    distinct = ask("SELECT count(DISTINCT (link, visitor)) FROM tracking_click")
    assert raw[0][0] == distinct[0][0]
    assert sum(raw[0]) == 4 * 15 * 30  # type: ignore[arg-type]
    for table in ("minute", "hour", "day", "link_day"):
        counted = ask(f"SELECT sum(valid), sum(flagged) FROM tracking_click_{table}")  # noqa: S608
        assert counted == raw


def test_the_latest_clicks_come_newest_first_and_page(session: Session, shop: Shop) -> None:
    moments = [MIDNIGHT - timedelta(hours=hours) for hours in (0, 0, 1, 30, 31, 400)]
    clicks.store(session, visits=[visit(shop, moment) for moment in moments])
    clicks.store(session, visits=[visit(make_shop(session), MIDNIGHT)])

    first = queries.clicks_of(session, partner_id=shop.partner_id, limit=4)
    rest = queries.clicks_of(session, partner_id=shop.partner_id, before=first[-1].number, limit=4)

    assert [one.at for one in [*first, *rest]] == moments
    assert first[0].code == shop.link.code
    assert (first[0].agent, first[0].referrer) == (BROWSER, "blog.example")
    assert {one.reason for one in first} == {Reason.VALID, Reason.DUPLICATE}
    ref = clickid.read(first[0].token)
    assert ref is not None
    assert queries.click(session, ref) == first[0]


def test_the_clock_prepares_days_and_forgets_visitors(database: str) -> None:
    shop = committed_shop()
    with db.write() as session:
        clicks.store(session, visits=[visit(shop, MIDNIGHT - timedelta(days=n)) for n in range(4)])

    said = jobs.click_partitions(MIDNIGHT)
    again = jobs.click_partitions(MIDNIGHT)

    assert (said, again) == (
        "7 days prepared, 2 old counts forgotten",
        "0 days prepared, 0 old counts forgotten",
    )
    assert ask("SELECT count(*) FROM tracking_seen") == [(2,)]
    assert ask("SELECT count(*) FROM tracking_salt") == [(2,)]
    assert ask("SELECT count(*) FROM tracking_click_minute") == [(2,)]
    assert ask("SELECT count(*) FROM tracking_click_day") == [(4,)]


def test_the_headline_is_the_share_of_what_clicks_earned(
    session: Session, shop: Shop, now: datetime
) -> None:
    fresh = queries.current_offer(session, now)
    assert fresh is not None
    assert (fresh.headline_cpc, fresh.epc_7d, fresh.terms.mode) == (
        Money(120_000),
        None,
        Mode.REVSHARE,
    )

    visits = [visit(shop, now, address=f"10.1.0.{n}") for n in range(8)]
    stored = clicks.store(session, visits=visits)
    for number, (status, one) in enumerate(
        zip(("approved", "approved", "pending"), stored, strict=False)
    ):
        assert one is not None
        fields = {"subid": clicks.token_of(one), "amount": "10", "status": status}
        query = postback(shop, txn_id=str(number), **fields)
        postbacks.receive(session, request=PostbackIn("GET", query), now=now)
    session.flush()

    found = queries.current_offer(session, now)
    assert found is not None
    assert (found.epc_7d, found.headline_cpc) == (Money(2_500_000), Money(1_500_000))
    later = queries.current_offer(session, now + timedelta(days=8))
    assert later is not None
    assert later.epc_7d is None


def test_links_are_listed_with_their_counts(session: Session, shop: Shop, now: datetime) -> None:
    stored = clicks.store(session, visits=[visit(shop, now), visit(shop, now)])
    assert stored[0] is not None
    query = postback(shop, subid=clicks.token_of(stored[0]), amount="1")
    postbacks.receive(session, request=PostbackIn("GET", query), now=now)
    session.flush()

    (line,) = queries.links_of(session, partner_id=shop.partner_id)

    assert (line.link.id, line.offer) == (shop.link.id, "default")
    assert (line.valid, line.flagged, line.conversions) == (1, 1, 1)


def test_the_inbox_filters_and_pages(session: Session, shop: Shop, now: datetime) -> None:
    for amount in ("x", "y", "1"):
        query = postback(shop, subid="nobody", amount=amount)
        postbacks.receive(session, request=PostbackIn("GET", query), now=now)
    session.flush()

    everything = queries.postbacks(session, limit=2)
    older = queries.postbacks(session, before=everything[-1][0].id)
    orphans = queries.postbacks(session, result="orphan")

    assert [(one.result, name) for one, name in everything] == [
        ("orphan", "direct"),
        ("quarantined", "direct"),
    ]
    assert (len(older), len(orphans)) == (1, 1)
