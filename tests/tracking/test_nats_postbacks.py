"""Postbacks at an edge without a database: who may speak, the journal, and what is stored of it."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from sqlalchemy import select

from flowlink.kernel import clock, db
from flowlink.tracking import jobs, postback_record
from flowlink.tracking.click_store import ClickStore
from flowlink.tracking.intake import Unavailable
from flowlink.tracking.journal_reader import Reader
from flowlink.tracking.journal_writer import Writer
from flowlink.tracking.link_source import SourceAway
from flowlink.tracking.models import Conversion, Postback
from flowlink.tracking.nats_postbacks import Acceptance
from flowlink.tracking.postbacks import PostbackIn, Taken
from flowlink.tracking.segment import START
from flowlink.tracking.senders import WRONG_KEY, Asked
from flowlink.tracking.shipper import Moved
from flowlink.tracking.strangers import OF_ONE_ADDRESS
from tests.tracking.journals import TINY, written
from tests.tracking.makers import ask, committed_shop, make_click, postback

words = st.text(max_size=60)


@given(words, words, words, words, st.binary(max_size=60), st.datetimes())
def test_a_postback_comes_out_of_its_record_as_it_went_in(
    query: str, content_type: str, method: str, address: str, body: bytes, at: datetime
) -> None:
    moment = at.replace(microsecond=at.microsecond // 1000 * 1000).astimezone()
    taken = Taken(PostbackIn(method, query, content_type, body, address), moment)

    record = postback_record.pack(taken)

    assert postback_record.is_one(record)
    assert postback_record.unpack(record) == taken
    assert postback_record.moment(record) == moment


@given(st.binary(max_size=80))
def test_what_is_no_postback_is_called_unreadable(record: bytes) -> None:
    with pytest.raises(postback_record.Unreadable):
        postback_record.unpack(b"\x02" + record)


def test_no_disk_sees_a_key() -> None:
    record = postback_record.pack(
        Taken(PostbackIn("GET", "key=very-secret", body=b"very-secret"), clock.now())
    )

    assert b"very-secret" not in record


def test_they_are_stored_once_in_the_order_in_which_they_came_and_then_read(
    database: str, tmp_path: Path
) -> None:
    shop = committed_shop()
    with db.write() as session:
        click = make_click(session, shop, clock.now())
    came = clock.now() - timedelta(minutes=5)
    writer = Writer(tmp_path, bounds=TINY)
    for nth, (status, key) in enumerate(
        (("approved", shop.key), ("rejected", shop.key), ("approved", "wrong"))
    ):
        query = postback(shop, subid=click, amount="10", txn_id="1", status=status, key=key)
        request = PostbackIn("GET", query, address="192.0.2.1")
        written(writer, [postback_record.pack(Taken(request, came + timedelta(seconds=nth)))])
    reader = Reader(writer.directory)
    batch = reader.read()
    reader.close()
    store = ClickStore()

    store.take(batch, edge=writer.edge, after=START)
    with pytest.raises(Moved):
        store.take(batch, edge=writer.edge, after=START)
    [[until]] = ask("SELECT payload ->> 'until' FROM kernel_event WHERE name = 'postbacks.kept'")
    for _ in range(2):
        jobs.read_kept({"until": until}, clock.now())

    with db.read() as session:
        kept = session.scalars(select(Postback).order_by(Postback.id)).all()
        [sale] = session.scalars(select(Conversion))
        told = [(one.result, one.reason) for one in kept]
        assert told == [("ok", None), ("ok", None), ("rejected", WRONG_KEY)]
        assert [one.attempts for one in kept] == [1, 1, 0]
        assert abs(kept[0].received_at - came) < timedelta(milliseconds=1)
        assert (sale.status, sale.revision) == ("reversed", 2)
    writer.close()


class Judge:
    """Consumers, as an edge meets them: they know one key, and may be away."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.away = False

    async def refusal(self, asked: Asked) -> str | None:
        self.asked.append(asked)
        await asyncio.sleep(0)
        if self.away:
            raise SourceAway("nobody answers")
        return None if asked.key == "right" else WRONG_KEY


class Edge:
    """Takes postbacks and keeps their records in a list."""

    def __init__(self) -> None:
        self.judge = Judge()
        self.acceptance = Acceptance(self.judge)
        self.kept: list[bytes] = []
        self.is_failing = False

    async def take(self, key: str, address: str = "192.0.2.1") -> tuple[int, dict[str, str]]:
        request = PostbackIn("GET", f"network=direct&key={key}", address=address)
        return await self.acceptance.take(request, append=self._append)

    def _append(self, record: bytes) -> "Awaitable[None] | None":
        if self.is_failing:
            return None
        self.kept.append(record)
        return asyncio.sleep(0)


def played(story: Callable[[Edge], Awaitable[None]]) -> None:
    async def whole() -> None:
        await story(Edge())

    asyncio.run(whole())


def test_who_may_speak_is_asked_once_for_many() -> None:
    async def story(edge: Edge) -> None:
        answers = await asyncio.gather(*(edge.take("right") for _ in range(50)))
        answers.append(await edge.take("right"))

        assert answers == [(200, {"result": "accepted"})] * 51
        assert len(edge.judge.asked) == 1
        assert len(edge.kept) == 51

    played(story)


def test_a_wrong_key_is_told_so_and_written_down_only_so_often() -> None:
    async def story(edge: Edge) -> None:
        answers = [await edge.take("wrong") for _ in range(OF_ONE_ADDRESS + 5)]

        assert answers == [(401, {"result": "rejected", "reason": WRONG_KEY})] * len(answers)
        assert len(edge.kept) == OF_ONE_ADDRESS

    played(story)


def test_while_nobody_can_say_some_are_taken_from_each_address() -> None:
    async def story(edge: Edge) -> None:
        edge.judge.away = True
        for nth in range(OF_ONE_ADDRESS):
            assert (await edge.take(f"key{nth}"))[1] == {"result": "accepted"}

        with pytest.raises(Unavailable):
            await edge.take("one more")
        assert (await edge.take("right", address="192.0.2.2"))[0] == 200
        assert len(edge.judge.asked) == 1  # and not again at once

    played(story)


def test_who_spoke_rightly_before_speaks_on_while_nobody_can_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async def story(edge: Edge) -> None:
        await edge.take("right")
        edge.judge.away = True
        for _ in range(2 * OF_ONE_ADDRESS):
            assert (await edge.take("right"))[0] == 200

    monkeypatch.setattr("flowlink.tracking.nats_postbacks._FRESH_S", 0.0)
    played(story)


def test_what_the_journal_does_not_take_has_to_come_again() -> None:
    async def story(edge: Edge) -> None:
        edge.is_failing = True
        with pytest.raises(Unavailable):
            await edge.take("right")

    played(story)
