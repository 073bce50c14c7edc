"""An edge's link table out of NATS: what PostgreSQL says, in the order in which it said it."""

import asyncio
import threading
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, timedelta
from pathlib import Path
from uuid import uuid4

import pytest

from flowlink.kernel import clock, db, settings
from flowlink.kernel.nats import Hub
from flowlink.tracking import nats_asks as asks, nats_entries as entries
from flowlink.tracking.link_source import DatabaseSource, SourceAway
from flowlink.tracking.link_table import LinkRow
from flowlink.tracking.nats_desk import Desk
from flowlink.tracking.nats_feed import LinkFeed, Loop
from flowlink.tracking.nats_keeper import NatsKeeper
from flowlink.tracking.nats_links import Entry, LinkPublisher, Source
from flowlink.tracking.nats_source import NatsSource
from tests import nats_nodes
from tests.conftest import test_settings
from tests.nats_nodes import Nodes
from tests.patience import LONG_S
from tests.tracking.makers import ask, committed_shop, until
from tests.tracking.nats_process import hub
from tests.tracking.test_nats_links import FAST, Shop


@pytest.fixture
def nodes(place: Path) -> Iterator[Nodes]:
    with nats_nodes.running(place, count=1) as made:
        yield made


@pytest.fixture
def inside(nodes: Nodes) -> Iterator[Hub]:
    made = hub(nodes.urls, name="consumer")
    yield made
    made.close()


@pytest.fixture
def outside(nodes: Nodes) -> Iterator[Hub]:
    made = hub(nodes.urls, name="edge", echo=False)
    yield made
    made.close()


@contextmanager
def publishing(inside: Hub, source: Source) -> Iterator[None]:
    stop = threading.Event()
    publisher = LinkPublisher(inside, source, pace=FAST)
    thread = threading.Thread(target=publisher.run, args=(stop,))
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


@contextmanager
def telling(inside: Hub) -> Iterator[None]:
    """All that a consumer does but storing clicks."""
    loop, stop = Loop(), threading.Event()
    feed, desk = LinkFeed(loop), Desk(inside, loop)
    serving = threading.Thread(target=desk.serve, args=(stop,))
    serving.start()
    try:
        with publishing(inside, feed):
            yield
    finally:
        stop.set()
        serving.join()
        desk.close()
        feed.close()
        loop.close()


@asynccontextmanager
async def keeping(outside: Hub) -> AsyncGenerator[NatsKeeper]:
    keeper = NatsKeeper(NatsSource(outside), pace=FAST)
    async with asyncio.timeout(LONG_S):
        while True:
            try:
                await keeper.load()
                break
            except SourceAway:
                await asyncio.sleep(0.05)
    keeper.follow()
    try:
        yield keeper
    finally:
        await keeper.close()


def told(outside: Hub, story: Callable[[NatsKeeper], Awaitable[None]]) -> None:
    async def whole() -> None:
        async with keeping(outside) as keeper:
            await story(keeper)

    asyncio.run(whole())


def change(query: str, *parameters: object) -> None:
    with db.write() as session:
        session.connection().exec_driver_sql(query, parameters)


def row(number: int, *, destination: str = "https://shop.example/") -> LinkRow:
    return LinkRow(
        number=number,
        host="",
        code=f"code{number}",
        destination=destination,
        disabled=False,
        expires_ms=0,
        routing=None,
        partner=1,
        partner_id=uuid4(),
        partner_active=True,
        offer_id=uuid4(),
        offer_destination="https://shop.example/",
        click_param="subid",
    )


def shelf(*rows: LinkRow) -> Shop:
    return Shop({key: value for key, value in map(entries.link, rows) if value is not None})


def test_every_change_in_postgresql_reaches_the_edge(
    database: str, inside: Hub, outside: Hub
) -> None:
    shop = committed_shop(slug="summer")
    mine = "id = (SELECT offer_id FROM tracking_link WHERE id = %s)"

    async def story(keeper: NatsKeeper) -> None:
        def destination() -> str:
            found = keeper.table.find("", "summer")
            return found.target.destination if found and found.live else ""

        assert destination()
        change(
            f"UPDATE tracking_offer SET destination = 'https://new.example/' WHERE {mine}",  # noqa: S608
            shop.link.id,
        )
        await until(lambda: destination() == "https://new.example/")
        change("UPDATE partners_partner SET status = 'closed' WHERE id = %s", shop.partner_id)
        await until(lambda: not destination())
        change("UPDATE partners_partner SET status = 'active' WHERE id = %s", shop.partner_id)
        await until(lambda: destination() != "")
        change(
            "INSERT INTO tracking_domain (id, host, active, created_at)"
            " VALUES (%s, 'go.example', true, now())",
            uuid4(),
        )
        await until(lambda: keeper.table.domains == {"go.example": True})
        change("DELETE FROM tracking_link WHERE id = %s", shop.link.id)
        await until(lambda: len(keeper.table) == 0)

    with telling(inside):
        told(outside, story)


def test_what_an_edge_asks_and_tells_is_done_in_postgresql(
    database: str, inside: Hub, outside: Hub
) -> None:
    committed_shop(slug="summer")
    today = clock.now().astimezone(UTC).date()
    days = (today, today + timedelta(days=1))

    async def story(keeper: NatsKeeper) -> None:
        source = keeper.source
        keeper.table.drop("", "summer")
        found = await keeper.find("", "summer")
        assert found is not None
        assert await keeper.find("", "nobody") is None
        await source.count_misses({(today, "unknown"): 3})
        await source.count_unrecorded(day=today, edge="e", count=2, at=clock.now())
        direct = DatabaseSource()
        assert await source.salts(days) == await direct.salts(days)
        await direct.close()

    with telling(inside):
        told(outside, story)

    assert ask("SELECT reason, count FROM tracking_miss") == [("unknown", 3)]
    assert ask("SELECT edge, count FROM tracking_unrecorded") == [("e", 2)]


def test_nonsense_is_answered_by_nothing(database: str, inside: Hub) -> None:
    loop = Loop()
    desk = Desk(inside, loop)

    answers = [desk.reply(asks.NAMED, b"{"), desk.reply("flowlink.ask.else", b"")]

    assert answers == [b"", b""]
    desk.close()
    loop.close()


def test_a_new_generation_forgets_what_is_gone(inside: Hub, outside: Hub) -> None:
    shop = shelf(row(1), row(2))

    async def story(keeper: NatsKeeper) -> None:
        assert len(keeper.table) == 2
        del shop.entries[b"l/code1"]
        shop.lost = True
        await until(lambda: keeper.table.find("", "code1") is None)
        assert keeper.table.find("", "code2") is not None

    with publishing(inside, shop):
        told(outside, story)


def test_an_old_answer_does_not_undo_news(inside: Hub, outside: Hub) -> None:
    old, new = row(1), row(1, destination="https://new.example/")
    shop = shelf(row(2))
    answers = [old, new]

    async def story(keeper: NatsKeeper) -> None:
        heard = threading.Event()

        def late(subject: str, words: bytes) -> bytes:
            """The first answer is overtaken by news."""
            answer = answers.pop(0)
            if answer is old:
                shop.change(*_known(entries.link(new)))
                heard.wait(LONG_S)
            return asks.pack_links([answer])

        inside.answer(asks.NAMED, group="", reply=late)
        finding = asyncio.create_task(keeper.find("", "code1"))
        await until(lambda: keeper.table.find("", "code1") is not None)
        heard.set()
        found = await finding
        assert found is not None
        assert found.target.destination == "https://new.example/"
        inside.hush(asks.NAMED)

    with publishing(inside, shop):
        told(outside, story)

    assert answers == []


def _known(entry: Entry) -> tuple[bytes, bytes]:
    key, value = entry
    assert value is not None
    return key, value


def test_a_new_day_is_told_with_its_salts(database: str, inside: Hub) -> None:
    loop = Loop()
    feed = LinkFeed(loop)
    keys = [key for key, _ in feed.snapshot(anew=True)]
    same_day = next(iter(feed.changes(threading.Event())))

    assert feed._day is not None
    feed._day -= timedelta(days=1)
    next_day = next(iter(feed.changes(threading.Event())))

    assert b"s" in keys
    assert list(same_day) == []
    assert [key for key, _ in next_day] == [b"s"]
    feed.close()
    loop.close()


def test_other_keys_than_the_consumers_are_said(inside: Hub, outside: Hub) -> None:
    ours = settings.current()
    settings.use(test_settings(secret_keys="another-key-that-is-long-enough-for-anybody"))
    key, sealed = _known(entries.salts({clock.now().date(): b"0" * 16}))
    settings.use(ours)
    shop = Shop({key: sealed})

    async def load() -> None:
        keeper = NatsKeeper(NatsSource(outside), pace=FAST)
        async with asyncio.timeout(LONG_S):
            while True:
                try:
                    await keeper.load()
                except SourceAway as away:
                    if "SECRET_KEYS are not those of the consumers" in str(away):
                        return
                await asyncio.sleep(0.05)

    with publishing(inside, shop):
        asyncio.run(load())


def test_a_number_for_click_ids_belongs_to_one_living_process(nodes: Nodes) -> None:
    hubs = [hub(nodes.urls, name=f"edge-{n}", echo=False) for n in range(3)]
    first, second, third = map(NatsSource, hubs)
    subject = asks.node_subject(700)

    assert first._claim(subject)
    assert not second._claim(subject)
    assert not third._claim(subject)
    hubs[0].close()
    assert second._claim(subject)
    numbers = [asyncio.run(one.node()) for one in (second, third)]

    assert all(512 <= number < 1024 for number in numbers)
    assert len(set(numbers)) == 2
    for one in hubs[1:]:
        one.close()
