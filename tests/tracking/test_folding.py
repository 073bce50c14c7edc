"""Visitors told apart by one number, and counts folded while clicks go on and others fold too."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from hypothesis import given, strategies as st

from flowlink.kernel import clock, db
from flowlink.tracking import click_batch, clickid, clicks, folding, jobs, recount
from flowlink.tracking.clicks import Visit
from flowlink.tracking.models import Reason
from tests.flows.people import eventually
from tests.tracking.makers import BROWSER, ask, committed_shop

BIG = st.integers(-(1 << 63), (1 << 63) - 1)
CLICKS = "SELECT count(*) FROM tracking_click"
COUNTED = (
    "SELECT (SELECT coalesce(sum(count), 0) FROM tracking_click_origin)"
    " + (SELECT coalesce(sum(n), 0) FROM tracking_click_origin_day, unnest(counts) AS n)"
)
HOURS = "SELECT coalesce(sum(valid + flagged), 0) FROM tracking_click_link_hour"


@given(st.lists(st.tuples(st.integers(0, (1 << 63) - 1), BIG, BIG, st.integers(0, 4)), max_size=20))
def test_each_key_is_a_number_that_the_table_holds_and_comes_once(
    given_clicks: list[tuple[int, int, int, int]],
) -> None:
    keys = click_batch.visitor_keys(given_clicks)

    told = [key for key in keys if key is not None]
    assert len(keys) == len(given_clicks)
    assert len(told) == len(set(told))
    assert all(-(1 << 63) <= key < 1 << 63 for key in told)
    assert all(key is None for key, one in zip(keys, given_clicks, strict=True) if one[3])


def test_links_and_days_of_one_visitor_have_keys_of_their_own() -> None:
    today = clickid.floor(clock.now())
    tomorrow = clickid.floor(clock.now() + timedelta(days=1))

    keys = click_batch.visitor_keys(
        [(today, 9, 1, 0), (today + 1, 9, 2, 0), (tomorrow, 9, 1, 0), (today + 2, 9, 1, 0)]
    )

    assert None not in keys[:3]
    assert len(set(keys[:3])) == 3
    assert keys[3] is None


def test_the_second_click_of_a_visitor_is_found_in_another_batch(database: str) -> None:
    shop = committed_shop()
    visit = Visit(shop.link.code, clock.now(), "203.0.113.1", BROWSER, "", Reason.VALID)
    for _ in range(2):
        with db.write() as session:
            clicks.store(session, visits=[visit])

    assert ask("SELECT reason FROM tracking_click ORDER BY id") == [(0,), (4,)]


def test_folding_while_clicks_go_on_loses_and_doubles_none(database: str) -> None:
    shop = committed_shop()
    now = clock.now()

    def click(writer: int) -> None:
        for number in range(15):
            at = now - timedelta(hours=number)
            visits = [
                Visit(shop.link.code, at, f"10.{writer}.{number}.{n}", BROWSER, "", Reason.VALID)
                for n in range(4)
            ]
            with db.write() as session:
                clicks.store(session, visits=visits)

    def fold(_: int) -> None:
        for _ in range(15):
            with db.write() as session:
                folding.fold(session)

    with ThreadPoolExecutor(6) as threads:
        work = [threads.submit(click, n) for n in range(3)]
        work += [threads.submit(fold, n) for n in range(3)]
        for one in work:
            one.result()
    said = jobs.click_fold(now)
    again = jobs.click_fold(now)

    assert "clicks of" in said
    assert "0 clicks of 0 batches" in again
    assert ask(CLICKS) == ask(COUNTED) == ask(HOURS) == [(180,)]


def _who_waits() -> str | None:
    return "somebody" if ask("SELECT 1 FROM pg_locks WHERE NOT granted") else None


def test_a_late_click_packed_while_its_day_is_being_packed_loses_nothing(database: str) -> None:
    shop = committed_shop()
    yesterday = clock.now() - timedelta(days=1)

    def late(host: str) -> None:
        visit = Visit(shop.link.code, yesterday, host, BROWSER, host, Reason.VALID)
        with db.write() as session:
            clicks.store(session, visits=[visit])
        with db.write() as session:
            folding.fold(session)

    def late_and_packed() -> None:
        late("second.example")
        with db.write() as session:
            folding.pack(session, day=yesterday.date())

    late("first.example")
    with ThreadPoolExecutor(1) as threads:
        with db.write() as session:
            folding.pack(session, day=yesterday.date())
            other = threads.submit(late_and_packed)
            eventually(_who_waits)
        other.result()

    assert ask("SELECT count(*) FROM tracking_click_origin_day") == [(1,)]
    assert ask(CLICKS) == ask(COUNTED) == [(2,)]


def test_what_two_rebuilds_find_at_once_is_put_right_once(database: str) -> None:
    shop, now = committed_shop(), clock.now()
    visit = Visit(shop.link.code, now, "203.0.113.1", BROWSER, "", Reason.VALID)
    with db.write() as session:
        clicks.store(session, visits=[visit])
        folding.fold(session)  # or they would wait for each other there
        session.connection().exec_driver_sql("UPDATE tracking_click_day SET valid = 5")

    def rebuild() -> None:
        with db.write() as session:
            recount.rebuild(session, day=now.date(), now=now)

    with ThreadPoolExecutor(1) as threads:
        with db.write() as session:
            recount.rebuild(session, day=now.date(), now=now)
            other = threads.submit(rebuild)
            eventually(_who_waits)
        other.result()

    assert ask("SELECT valid, flagged FROM tracking_click_day") == [(1, 0)]
