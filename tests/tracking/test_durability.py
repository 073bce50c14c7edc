"""Whatever is killed, a click that was answered is stored, once (spec 3)."""

import os
import signal
import time
from pathlib import Path

import httpx2
import pytest

from flowlink.kernel import db, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from tests.patience import LONG_S
from tests.tracking import chaos, disks
from tests.tracking.edges import (
    EdgeRole,
    Load,
    check_stored,
    edge_role,
    kill_family,
    slow_database,
)
from tests.tracking.makers import BROWSER, Shop, ask, committed_shop, eventually

LONG = "Mozilla/5.0 " + "x" * 380


@pytest.fixture
def shop(postgres_durable: EmbeddedPostgres) -> Shop:
    db.connect(postgres_durable.url())
    return committed_shop()


def address(role: EdgeRole, shop: Shop) -> str:
    return f"{role.url}/l/{shop.link.code}"


def test_no_answered_click_is_lost_when_the_edge_is_killed(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load()
    with edge_role(postgres_durable.url(), tmp_path) as role:
        load.run(address(role, shop), seconds=2.5, after=2.0, then=role.kill)

    assert load.broken > 0
    with edge_role(postgres_durable.url(), tmp_path) as role:
        again = httpx2.get(address(role, shop), follow_redirects=False)
        assert again.status_code == 302
        check_stored(load)


def test_no_click_is_lost_or_doubled_when_what_answers_or_ships_is_killed(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load()
    with edge_role(postgres_durable.url(), tmp_path, processes=2) as role:
        before = role.children

        def kill() -> None:
            for child in before:
                os.kill(child, signal.SIGKILL)
                time.sleep(0.5)

        load.run(address(role, shop), seconds=4.0, after=0.5, then=kill)
        eventually(lambda: len(role.children) == 3)
        assert not set(role.children) & set(before)
        check_stored(load)


def test_clicks_go_on_while_the_database_is_killed_and_away(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load()
    with edge_role(postgres_durable.url(), tmp_path) as role:

        def kill() -> None:
            kill_family(postgres_durable.pid)
            time.sleep(2.0)
            unknown = httpx2.get(f"{role.url}/l/nobody", headers={"accept-language": "en"})
            assert unknown.status_code == 503
            assert unknown.headers["retry-after"] == "5"
            assert "One moment, please" in unknown.text

        load.run(address(role, shop), seconds=4.0, after=1.0, then=kill)
        postgres_durable.start()
        eventually(lambda: httpx2.get(f"{role.url}/l/nobody").status_code == 404)
        db.connect(postgres_durable.url())
        check_stored(load)

    assert set(load.statuses) == {302}
    assert load.broken == 0


def test_a_postback_has_to_come_again_while_the_database_is_away(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    with edge_role(postgres_durable.url(), tmp_path) as role:
        postgres_durable.stop()

        refused = httpx2.get(f"{role.url}/aff/postback?network=direct&key={shop.key}")

        assert refused.status_code == 503
        postgres_durable.start()


def test_an_edge_that_has_no_links_yet_lives_but_is_not_ready(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    url = postgres_durable.url()
    kill_family(postgres_durable.pid)

    with edge_role(url, tmp_path) as role:
        assert httpx2.get(f"{role.url}/healthz").text == "ok"
        assert httpx2.get(f"{role.url}/readyz").status_code == 503
        postgres_durable.start()
        eventually(lambda: httpx2.get(f"{role.url}/readyz").json()["ready"])


def test_a_slow_database_slows_no_visitor(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load()
    with edge_role(postgres_durable.url(), tmp_path) as role:
        with slow_database(postgres_durable.url()):
            load.run(address(role, shop), seconds=3.0)
            assert db_count() == 0
        check_stored(load)

    assert set(load.statuses) == {302}


def db_count() -> object:
    with db.read() as session:
        return session.connection().exec_driver_sql("SELECT count(*) FROM tracking_click").scalar()


def test_a_full_disk_costs_no_visitor_his_answer_and_what_is_lost_is_counted(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load(agent=LONG)
    more = {"CLICKS_JOURNAL_MAX_MB": "4"}
    with edge_role(postgres_durable.url(), tmp_path, more=more) as role:
        with slow_database(postgres_durable.url()):
            deadline = time.monotonic() + LONG_S
            while unrecorded() == 0 and time.monotonic() < deadline:
                load.run(address(role, shop), seconds=2.0)
        assert unrecorded() > 0
        load.run(address(role, shop), seconds=1.0)
        check_stored(load, unrecorded=unrecorded())

    assert set(load.statuses) == {302}


def unrecorded() -> int:
    with db.read() as session:
        found = session.connection().exec_driver_sql(
            "SELECT coalesce(sum(count), 0) FROM tracking_unrecorded"
        )
        return int(found.scalar_one())


def test_a_journal_without_a_disk_sends_clicks_straight_to_the_database(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load()
    with disks.tiny(tmp_path / "tiny") as disk:
        more = {"CLICKS_JOURNAL": str(disk)}
        with edge_role(postgres_durable.url(), tmp_path, more=more) as role:
            load.run(address(role, shop), seconds=2.0)
            check_stored(load)

    assert set(load.statuses) == {302}


def test_a_clock_that_steps_back_makes_no_number_twice(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    load = Load()
    for step in ("0", "-3600", "0"):
        more = {"FLOWLINK_CLOCK_OFFSET_S": step}
        with edge_role(postgres_durable.url(), tmp_path, more=more) as role:
            load.run(address(role, shop), seconds=1.0)

    check_stored(load)


def test_three_rounds_of_killing_at_random(tmp_path: Path) -> None:
    chosen = settings.current()

    chaos.rounds(3, place=tmp_path, seconds=2.0)

    settings.use(chosen)


def test_a_browser_counts_as_one(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    with edge_role(postgres_durable.url(), tmp_path) as role:
        for _ in range(3):
            httpx2.get(address(role, shop), headers={"user-agent": BROWSER})
        assert ask("SELECT reason FROM tracking_click ORDER BY id") == [(0,), (4,), (4,)]
