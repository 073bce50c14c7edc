"""The link table: what it says of a link is what the database says, whoever changed it."""

import asyncio
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

import psycopg
import pytest

from flowlink.kernel import clock, db
from flowlink.tracking import domains, service
from flowlink.tracking.link_keeper import Care, LinkKeeper
from flowlink.tracking.link_source import Changes, DatabaseSource, SourceAway
from flowlink.tracking.link_table import Found, LinkRow, LinkTable
from tests.patience import LONG_S
from tests.tracking.link_rows import OFFER, PARTNER, row
from tests.tracking.makers import Shop, committed_shop, until

BYTES_MAX = 350


def test_a_link_is_made_of_what_it_shares_with_others() -> None:
    table = LinkTable()
    for number in range(3):
        table.put(row(number))
    table.put(row(3, destination="https://own.example/{link}?a={click_id}&b={click_id}"))

    plain, own = table.find("", "code1"), table.find("", "CODE3")
    table.set_offer(OFFER, destination="https://new.example/", click_param="s")
    changed = table.find("", "code1")
    table.set_partner(PARTNER, active=False)
    closed = table.find("", "code1")

    assert plain is not None
    assert own is not None
    assert changed is not None
    assert closed is not None
    assert plain.parts == (b"https://shop.example/?subid=", b"")
    assert own.parts == (b"https://own.example/code3?a=", b"&b=", b"")
    assert changed.parts == (b"https://new.example/?s=", b"")
    assert (plain.live, closed.live) == (True, False)
    assert table.find("", "nobody") is None


def test_a_link_expires_to_the_millisecond_and_routing_keeps_its_form() -> None:
    table = LinkTable()
    routing = '{"targets": [], "weighted": [{"destination": "https://a.example/", "weight": 1}]}'
    table.put(row(1, expires_ms=1000, routing=routing))

    found = table.find("", "code1")

    assert found is not None
    assert (found.is_live(999), found.is_live(1000)) == (True, False)
    assert found.parts == ()
    assert found.target.routing == {
        "targets": [],
        "weighted": [{"destination": "https://a.example/", "weight": 1}],
    }


def test_the_links_of_a_closed_or_unknown_domain_are_not_found() -> None:
    table = LinkTable()
    table.put(row(1, host="go.example"))
    before = table.find("go.example", "code1")
    table.set_domains({"go.example": True})
    opened = table.find("go.example", "code1")
    table.set_domains({"go.example": False})

    assert (before, table.find("go.example", "code1")) == (None, None)
    assert opened is not None
    assert table.find("", "code1") is None


def test_a_link_takes_few_bytes() -> None:
    table = LinkTable()
    count = 50_000
    for number in range(count):
        table.put(row(number, destination=f"https://shop{number % 97}.example/p/{number}?utm=x"))

    assert len(table) == count
    assert table.size_bytes() / count < BYTES_MAX


@asynccontextmanager
async def keeping() -> AsyncGenerator[LinkKeeper]:
    keeper = LinkKeeper(DatabaseSource())
    await keeper.load()
    keeper.follow()
    await asyncio.sleep(0.1)
    try:
        yield keeper
    finally:
        await keeper.close()


def change(query: str, *parameters: object) -> None:
    with db.write() as session:
        session.connection().exec_driver_sql(query, parameters)


@pytest.fixture
def shop(database: str) -> Shop:
    return committed_shop(slug="summer")


def told(story: Callable[[LinkKeeper], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with keeping() as keeper:
            await story(keeper)

    asyncio.run(whole())


def test_a_keeper_that_is_just_about_to_check_everything_closes(shop: Shop) -> None:
    async def play() -> bool:
        async with keeping() as keeper:
            await until(keeper.truth.is_set)
            keeper._again.set()  # the word that anything may have changed, as it comes
            closing = asyncio.create_task(keeper.close())
            done, _ = await asyncio.wait([closing], timeout=LONG_S)
            return bool(done)

    assert asyncio.run(play())


def test_every_change_is_told_without_a_question(shop: Shop) -> None:
    async def story(keeper: LinkKeeper) -> None:
        def found() -> Found:
            one = keeper.table.find("", "summer")
            assert one is not None
            return one

        assert found().live
        link = shop.link.id
        mine = "id = (SELECT offer_id FROM tracking_link WHERE id = %s)"
        network = f"id = (SELECT network_id FROM tracking_offer WHERE {mine})"  # noqa: S608
        partner = "id = (SELECT partner_id FROM tracking_link WHERE id = %s)"
        steps: list[tuple[str, Callable[[], bool]]] = [
            (
                "UPDATE tracking_link SET destination = 'https://new.example/' WHERE id = %s",
                lambda: b"https://new.example/" in found().parts[0],
            ),
            (
                "UPDATE tracking_link SET destination = NULL, expires_at = now() WHERE id = %s",
                lambda: found().expires_ms > 0,
            ),
            (
                f"UPDATE tracking_offer SET destination = 'https://moved.example/' WHERE {mine}",  # noqa: S608
                lambda: b"moved.example" in found().parts[0],
            ),
            (
                f"UPDATE tracking_network SET click_param = 'other' WHERE {network}",  # noqa: S608
                lambda: b"other=" in found().parts[0],
            ),
            (
                f"UPDATE partners_partner SET status = 'closed' WHERE {partner}",  # noqa: S608
                lambda: not found().live,
            ),
            (
                "UPDATE tracking_link SET code = 'winter' WHERE id = %s",
                lambda: (
                    keeper.table.find("", "summer") is None
                    and keeper.table.find("", "winter") is not None
                ),
            ),
            (
                "DELETE FROM tracking_link WHERE id = %s",
                lambda: keeper.table.find("", "winter") is None,
            ),
        ]
        for query, holds in steps:
            await asyncio.to_thread(change, query, link)
            await until(holds)

    told(story)


def test_domains_are_told_and_their_links_come_and_go(shop: Shop) -> None:
    def make() -> None:
        with db.write() as session:
            domains.add(session, host="go.example", actor="test", now=clock.now())
            service.create_link(
                session,
                partner_id=shop.partner_id,
                slug="winter",
                host="go.example",
                now=clock.now(),
            )

    async def story(keeper: LinkKeeper) -> None:
        await asyncio.to_thread(make)
        await until(lambda: keeper.table.find("go.example", "winter") is not None)
        await asyncio.to_thread(change, "UPDATE tracking_domain SET active = false")
        await until(lambda: keeper.table.find("go.example", "winter") is None)

    told(story)


def test_a_change_of_very_many_links_is_told_in_one_word(shop: Shop) -> None:
    many = (
        "INSERT INTO tracking_link (code, partner_id, offer_id, created_at)"
        " SELECT 'many' || n, partner_id, offer_id, now()"
        " FROM tracking_link, generate_series(1, 1500) n WHERE id = %s"
    )

    async def story(keeper: LinkKeeper) -> None:
        await asyncio.to_thread(change, many, shop.link.id)
        await until(lambda: len(keeper.table) == 1501)
        await asyncio.to_thread(change, "DELETE FROM tracking_link WHERE code LIKE 'many%%'")
        await until(lambda: len(keeper.table) == 1)

    told(story)


def test_what_changed_while_nobody_listened_is_seen_after_that(shop: Shop, database: str) -> None:
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s"

    async def story(keeper: LinkKeeper) -> None:
        with psycopg.connect(database, autocommit=True) as owner:
            owner.execute(cut, ["flowlink-links"])
        await asyncio.to_thread(
            change, "UPDATE tracking_link SET disabled_at = now() WHERE id = %s", shop.link.id
        )

        def is_off() -> bool:
            found = keeper.table.find("", "summer")
            return found is not None and not found.live

        await until(is_off)

    told(story)


class FakeSource(DatabaseSource):
    """A source of a few links that counts how often it is asked, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.links: dict[str, LinkRow] = {}
        self.asked: list[int] = []
        self.away = False

    async def named(self, names: Collection[tuple[str, str]]) -> Sequence[LinkRow]:
        self.asked.append(len(names))
        await asyncio.sleep(0.01)
        if self.away:
            raise SourceAway("away")
        return [self.links[code] for _, code in names if code in self.links]

    async def changes(self) -> AsyncGenerator[Changes]:
        yield Changes()

    async def partners(self, ids: Collection[UUID]) -> Sequence[tuple[UUID, bool]]:
        return []

    async def close(self) -> None:
        return


def test_many_unknown_codes_are_one_question_and_a_storm_is_remembered() -> None:
    source = FakeSource()
    care = Care(asked_a_second_max=50, remembered_s=60.0)

    async def story() -> None:
        keeper = LinkKeeper(source, care=care)
        await asyncio.gather(*(keeper.find("", f"x{number}") for number in range(40)))
        assert len(source.asked) <= 2
        source.links["x1"] = row(1, "x1")
        assert await keeper.find("", "x1") is not None  # few are asked for: asked again
        while await keeper.find("", "storm") is None and len(source.asked) < 40:
            if keeper._asked > 60:
                break
        before = len(source.asked)
        began = time.monotonic()
        for _ in range(1000):
            assert await keeper.find("", "storm") is None
        assert len(source.asked) - before <= 50 * (2 + int(time.monotonic() - began))
        source.away = True
        assert await keeper.find("", "x1") is not None
        with pytest.raises(SourceAway):
            await keeper.find("", "never-asked-for")

    asyncio.run(story())
