"""An edge that starts while PostgreSQL is away answers with the links it knew (spec 3)."""

import asyncio
import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path

import httpx2
import pytest

from flowlink.app import diagnosis, health as figures
from flowlink.kernel import clock, db, settings
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.tracking import clickid, link_snapshot, nodes, segment, wiring
from flowlink.tracking.journal import Journal
from flowlink.tracking.link_snapshot import Unusable
from flowlink.tracking.link_table import LinkTable
from tests.tracking.edges import EdgeRole, Load, check_stored, edge_role, kill_family
from tests.tracking.link_rows import row
from tests.tracking.makers import Shop, ask, committed_shop, eventually, flush

SALTS = {20_000: b"0123456789abcdef", 20_001: b"fedcba9876543210"}


def written(root: Path, *, salts: Mapping[int, bytes] = SALTS) -> LinkTable:
    table = LinkTable()
    table.set_domains({"go.example": True})
    table.put(row(1, "plain"))
    table.put(row(2, "own", destination="https://own.example/?q=1"))
    table.put(row(3, "short", host="go.example"))
    table.put(row(4, "off", disabled=True))
    root.mkdir(parents=True, exist_ok=True)
    asyncio.run(link_snapshot.write(root, table, salts=salts))
    return table


def links_in(root: Path) -> int:
    table = LinkTable()
    if link_snapshot.path_in(root).exists():
        link_snapshot.read(root, table, now=clock.now())
    return len(table)


def test_a_snapshot_gives_the_table_and_the_salts_back(tmp_path: Path) -> None:
    before = written(tmp_path)
    after = LinkTable()
    after.put(row(9, "other"))

    salts = link_snapshot.read(tmp_path, after, now=clock.now())

    assert salts == SALTS
    assert len(after) == 4
    for host, code in (("", "plain"), ("", "own"), ("go.example", "short"), ("", "off")):
        assert after.find(host, code) == before.find(host, code)
    off = after.find("", "off")
    assert off is not None
    assert not off.live
    after.put(row(5, "later"))
    assert after.find("", "later") is not None


def test_no_salt_and_no_more_than_the_owner_s_eyes_on_it(tmp_path: Path) -> None:
    written(tmp_path)

    path = link_snapshot.path_in(tmp_path)

    assert not any(salt in path.read_bytes() for salt in SALTS.values())
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("at", [0, 9, 60, -40, -1])
def test_one_changed_byte_spoils_it(tmp_path: Path, at: int) -> None:
    written(tmp_path)
    path = link_snapshot.path_in(tmp_path)
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)

    with pytest.raises(Unusable, match="damaged"):
        link_snapshot.read(tmp_path, LinkTable(), now=clock.now())


@pytest.mark.parametrize("size", [0, 3, 40, 200])
def test_a_part_of_it_is_worth_nothing(tmp_path: Path, size: int) -> None:
    written(tmp_path)
    path = link_snapshot.path_in(tmp_path)
    path.write_bytes(path.read_bytes()[:size])

    with pytest.raises(Unusable, match="damaged"):
        link_snapshot.read(tmp_path, LinkTable(), now=clock.now())


def test_another_installation_s_is_not_believed(tmp_path: Path) -> None:
    written(tmp_path)
    chosen = settings.current()
    settings.use(chosen.model_copy(update={"secret_keys": ("another-key-for-this-test-alone",)}))

    with pytest.raises(Unusable, match="not of this installation"):
        link_snapshot.read(tmp_path, LinkTable(), now=clock.now())

    settings.use(chosen)


def test_an_old_one_is_not_believed_and_not_kept(tmp_path: Path) -> None:
    written(tmp_path)
    path = link_snapshot.path_in(tmp_path)
    link_snapshot.read(tmp_path, LinkTable(), now=clock.now() + timedelta(hours=23))

    with pytest.raises(Unusable, match="1 days ago"):
        link_snapshot.read(tmp_path, LinkTable(), now=clock.now() + timedelta(hours=25))

    assert not path.exists()


def test_what_is_half_written_replaces_nothing(tmp_path: Path) -> None:
    written(tmp_path)
    path = link_snapshot.path_in(tmp_path)
    path.with_suffix(".new").write_bytes(b"FLWLINK1")

    assert link_snapshot.read(tmp_path, LinkTable(), now=clock.now()) == SALTS


def test_one_of_two_edges_writes_it_while_it_is_true_and_the_other_takes_over(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        tables, truths = (LinkTable(), LinkTable()), (asyncio.Event(), asyncio.Event())
        for one in tables:
            one.put(row(1, "first"))
        pace = link_snapshot.Pace(beat_s=0.01, rewrite_s=0.0)
        first, second = [
            link_snapshot.Keeping(
                tmp_path, table=table, truth=truth, salts=lambda: SALTS, pace=pace
            )
            for table, truth in zip(tables, truths, strict=True)
        ]
        await asyncio.sleep(0.05)
        assert in_use() is None  # nobody said that the table is true

        truths[0].set()
        await found(1)
        truths[1].set()
        tables[1].put(row(2, "second"))
        await asyncio.sleep(0.05)
        await found(1)
        assert in_use() is True

        await first.close()
        await found(2)
        await second.close()
        assert in_use() is False

    def in_use() -> bool | None:
        standing = link_snapshot.standing(tmp_path)
        return None if standing is None else standing.in_use

    async def found(count: int) -> None:
        await asyncio.to_thread(eventually, lambda: links_in(tmp_path) == count)

    asyncio.run(story())


def test_while_nobody_vouches_for_the_table_the_snapshot_grows_old(tmp_path: Path) -> None:
    async def story() -> None:
        table, truth = LinkTable(), asyncio.Event()
        pace = link_snapshot.Pace(beat_s=0.01, rewrite_s=0.0)
        keeping = link_snapshot.Keeping(
            tmp_path, table=table, truth=truth, salts=lambda: SALTS, pace=pace
        )
        truth.set()
        path = link_snapshot.path_in(tmp_path)
        await asyncio.to_thread(eventually, path.exists)
        truth.clear()
        await asyncio.sleep(1)  # a write that was under way ends
        os.utime(path, (1_000, 1_000))
        table.put(row(1, "late"))
        await asyncio.sleep(0.1)
        await keeping.close()
        assert path.stat().st_mtime == 1_000

    asyncio.run(story())


def test_a_process_goes_on_under_the_number_of_the_journal_it_takes_over(tmp_path: Path) -> None:
    async def story() -> None:
        journal = await Journal.open(tmp_path)
        nodes.keep(journal.directory, 77)
        await journal.append(b"a record")
        assert nodes.of_next(tmp_path) is None  # that one is held, and there is no other
        until = nodes.used_until_ms(journal.directory)
        assert abs(until - clock.unix_ms()) < 60_000
        await journal.close()

        assert nodes.of_next(tmp_path) == nodes.recall(journal.directory) == 77
        assert not segment.strangers(journal.directory, edge=journal.edge)
        nodes.forget(journal.directory)
        assert nodes.of_next(tmp_path) is None

    asyncio.run(story())


def test_numbers_go_on_behind_those_of_the_process_before_whatever_the_clock_says() -> None:
    now = clock.unix_ms()
    before = clickid.Maker(5).next_at(now)

    after = clickid.Maker(5, after_ms=now + 1)

    assert after.next_at(now - 3_600_000) > before
    assert after.next_at(now - 3_600_000) > before + 1


def findings() -> list[diagnosis.Finding]:
    return list(diagnosis._links())


def age_told() -> float:
    text = bytes(figures.metrics().body).decode()
    (line,) = [one for one in text.splitlines() if one.startswith("flowlink_links_snapshot_age")]
    return float(line.split()[1])


@pytest.mark.usefixtures("database")
def test_doctor_and_metrics_tell_how_old_the_snapshot_is() -> None:
    root = wiring.journals()
    path = link_snapshot.path_in(root)
    path.unlink(missing_ok=True)
    assert (findings(), age_told()) == ([], -1)

    written(root)
    (fresh,) = findings()
    young = age_told()
    hour_ago = clock.now().timestamp() - 3600
    os.utime(path, (hour_ago, hour_ago))
    (unused,) = findings()
    with segment.held(root / "links.lock"):
        (late,) = findings()
    old = age_told()
    os.utime(path, (hour_ago - 90_000, hour_ago - 90_000))
    (too_old,) = findings()

    assert (fresh.well, unused.well, late.well, too_old.well) == (True, True, False, True)
    assert "hears of no changes" in late.text
    assert "too old to start from" in too_old.text
    assert young < 60
    assert 3600 <= old < 3700
    path.unlink()


@pytest.fixture
def shop(postgres_durable: EmbeddedPostgres) -> Shop:
    db.connect(postgres_durable.url())
    return committed_shop()


def kept(role: EdgeRole, root: Path, shop: Shop) -> None:
    """Wait until the link is in the snapshot."""
    assert httpx2.get(f"{role.url}/l/{shop.link.code}").status_code == 302

    def is_in() -> bool:
        table = LinkTable()
        link_snapshot.read(root, table, now=clock.now())
        return table.find("", shop.link.code) is not None

    eventually(link_snapshot.path_in(root).exists)
    eventually(is_in)


def test_an_edge_that_starts_without_a_database_answers_clicks_and_loses_none(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    root = Path(settings.current().clicks_journal)
    load = Load()
    url = postgres_durable.url()
    with edge_role(url, tmp_path) as role:
        kept(role, root, shop)
        load.run(f"{role.url}/l/{shop.link.code}", seconds=1.0)
        role.kill()
    kill_family(postgres_durable.pid)

    for _ in range(2):  # the second takes over from one that never saw the database
        with edge_role(url, tmp_path) as role:
            load.run(f"{role.url}/l/{shop.link.code}", seconds=1.5)
            assert httpx2.get(f"{role.url}/l/nobody").status_code == 503
            role.kill()

    assert set(load.statuses) == {302}
    postgres_durable.start()
    db.connect(postgres_durable.url())
    with edge_role(url, tmp_path):
        flush()
        check_stored(load)
    # The salt came along: of one visitor only the first click of the day counts.
    assert ask("SELECT count(*) FROM tracking_click WHERE reason = 0") == [(1,)]


def test_what_changed_while_no_edge_looked_is_right_again_once_the_database_is_back(
    postgres_durable: EmbeddedPostgres, shop: Shop, tmp_path: Path
) -> None:
    root = Path(settings.current().clicks_journal)
    url = postgres_durable.url()
    with edge_role(url, tmp_path) as role:
        kept(role, root, shop)
        role.kill()
    with db.write() as session:
        session.connection().exec_driver_sql("UPDATE tracking_link SET disabled_at = now()")
    kill_family(postgres_durable.pid)

    with edge_role(url, tmp_path) as role:
        address = f"{role.url}/l/{shop.link.code}"
        assert httpx2.get(address).status_code == 302
        postgres_durable.start()
        eventually(lambda: httpx2.get(address).status_code == 404)
        made = committed_more(postgres_durable)
        eventually(lambda: httpx2.get(f"{role.url}/l/{made}").status_code == 302)


def committed_more(postgres: EmbeddedPostgres) -> str:
    """Another link, made while the edge runs."""
    db.connect(postgres.url())
    code = "made-later"
    with db.write() as session:
        session.connection().exec_driver_sql(
            "INSERT INTO tracking_link (code, partner_id, offer_id, destination, created_at)"
            " SELECT %(code)s, partner_id, offer_id, destination, now() FROM tracking_link LIMIT 1",
            {"code": code},
        )
    return code
