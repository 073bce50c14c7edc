"""The counts are what a recount says, and what is wrong is found and put right."""

from datetime import UTC, datetime, timedelta
from random import Random

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import jobs
from flowlink.tracking import clicks, recount, service, statistics
from flowlink.tracking.clicks import Visit
from flowlink.tracking.jobs import CountsDiffer
from flowlink.tracking.models import Reason
from flowlink.tracking.statistics import Slice
from tests.tracking.makers import BROWSER, Shop, make_partner, rows

TABLES = ("minute", "hour", "day", "link_day", "link_hour", "origin")
AGENTS = (BROWSER, "Mozilla/5.0 (iPhone) Mobile/15E148", "Googlebot/2.1")
HOSTS = ("", "news.example", "blog.example")


def visit_a_lot(session: Session, shop: Shop, now: datetime) -> None:
    """Clicks of three days, late ones too, on links of two partners."""
    other = make_partner(session, now=now)
    second = service.create_link(session, partner_id=other, now=now)
    chance = Random(7)  # noqa: S311
    for _ in range(3):
        visits = [
            Visit(
                chance.choice([shop.link.code, second.code]),
                now - timedelta(minutes=chance.randrange(3000)),
                f"203.0.113.{chance.randrange(40)}",
                chance.choice(AGENTS),
                chance.choice(HOSTS),
                chance.choice([Reason.VALID, Reason.VALID, Reason.BOT, Reason.HEAD]),
            )
            for _ in range(150)
        ]
        clicks.store(session, visits=visits)


def everything(session: Session) -> dict[str, list[tuple[object, ...]]]:
    return {
        name: sorted(rows(session, f"SELECT * FROM tracking_click_{name}"))  # noqa: S608
        for name in TABLES
    }


def differences(session: Session, now: datetime) -> list[recount.Difference]:
    return [
        one
        for day in recount.days(session, until=now.astimezone(UTC).date())
        for one in recount.differences(session, day=day, now=now)
    ]


def test_counts_are_what_a_recount_says(session: Session, shop: Shop, now: datetime) -> None:
    visit_a_lot(session, shop, now)

    assert differences(session, now) == []
    assert len(recount.days(session, until=now.astimezone(UTC).date())) >= 3


def test_a_rebuild_makes_the_same_counts_out_of_nothing(
    session: Session, shop: Shop, now: datetime
) -> None:
    visit_a_lot(session, shop, now)
    before = everything(session)
    for name in TABLES:
        session.execute(text(f"DELETE FROM tracking_click_{name}"))  # noqa: S608

    for day in recount.days(session, until=now.astimezone(UTC).date()):
        recount.rebuild(session, day=day, now=now)

    after = everything(session)
    del before["minute"], after["minute"]  # of older days they are forgotten
    assert after == before
    assert differences(session, now) == []


def test_a_rebuild_takes_away_what_is_too_much(session: Session, shop: Shop, now: datetime) -> None:
    visit_a_lot(session, shop, now)
    before = everything(session)
    session.execute(text("UPDATE tracking_click_link_day SET valid = valid + 5"))
    session.execute(
        text("INSERT INTO tracking_click_origin VALUES (1, :day, 99, 0, 0, 1, 0, 3)"),
        {"day": now.astimezone(UTC).date()},
    )
    found = {one.table for one in differences(session, now)}

    for day in recount.days(session, until=now.astimezone(UTC).date()):
        recount.rebuild(session, day=day, now=now)

    assert found == {"tracking_click_link_day", "tracking_click_origin"}
    assert everything(session) == before


def test_the_nightly_recount_alarms(session: Session, shop: Shop, now: datetime) -> None:
    visit_a_lot(session, shop, now)
    assert "no difference" in jobs.JOBS["click_recount"].run(now)
    session.execute(text("UPDATE tracking_click_hour SET flagged = flagged + 1"))
    session.flush()

    with pytest.raises(CountsDiffer, match="tracking_click_hour"):
        jobs.JOBS["click_recount"].run(now)


def test_an_agent_seen_before_devices_were_told_gets_its_own(
    session: Session, shop: Shop, now: datetime
) -> None:
    visit_a_lot(session, shop, now)
    before = everything(session)["origin"]
    session.execute(text("UPDATE tracking_agent SET device = 0"))

    for day in recount.days(session, until=now.astimezone(UTC).date()):
        recount.rebuild(session, day=day, now=now)

    assert everything(session)["origin"] == before


def test_statistics_keep_bots_apart(session: Session, shop: Shop, now: datetime) -> None:
    def visit(host: int, reason: Reason, referrer: str = "") -> Visit:
        agent = AGENTS[2] if reason == Reason.BOT else BROWSER
        return Visit(shop.link.code, now, f"203.0.113.{host}", agent, referrer, reason)

    people = [visit(1, Reason.VALID, "news.example"), visit(2, Reason.VALID)]
    clicks.store(session, visits=[*people, people[0], visit(3, Reason.BOT)])
    ((partner,),) = rows(
        session,
        "SELECT number FROM partners_partner p WHERE EXISTS "
        "(SELECT 1 FROM tracking_link l WHERE l.partner_id = p.id)",
    )

    found = statistics.of_link(
        session, partner=int(str(partner)), link=shop.link.number, days=7, now=now
    )

    assert found.total == Slice("total", 2, 1, 1)
    assert found.days[-1] == Slice(str(now.astimezone(UTC).date()), 2, 1, 1)
    assert len(found.days) == 7
    assert {one.name: one.valid for one in found.referrers} == {"news.example": 1, "": 1}
    assert {one.name: (one.valid, one.bots) for one in found.devices} == {
        "desktop": (2, 0),
        "bot": (0, 1),
    }
    assert (found.hours[-1].valid, found.hours[-1].flagged) == (2, 2)
    assert found == statistics.of_partner(session, partner=int(str(partner)), days=7, now=now)
    assert statistics.live_of_link(session, link=shop.link.number, now=now).today == 2
    assert statistics.live_of_partner(session, partner=int(str(partner)), now=now).lately == 2
