"""The velocity rule: any ten minutes, all clicks, one hold, and only people end it."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flowlink.kernel import db, flags, policy as policies
from flowlink.kernel.flags import Flag as FeatureFlag
from flowlink.partners import groups
from flowlink.risk import jobs, queries, scales, service as risk, sweep, velocity
from flowlink.risk.models import Flag, Hold
from flowlink.tracking.models import Link, Reason
from tests.factories import Person
from tests.payouts.test_concurrency import at_once, while_open
from tests.risk.makers import NOON, committed, every, visit

pytestmark = pytest.mark.usefixtures("database")
SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
LATER = NOON + 30 * MINUTE


def click(link: Link, moments: list[datetime], reason: Reason = Reason.VALID) -> None:
    with db.write() as session:
        visit(session, link, moments, reason=reason)


def held(person: Person) -> list[Hold]:
    with db.read() as session:
        return list(queries.holds_of(session, person.partner_id))


def lift(session: Session, person: Person, at: datetime = LATER) -> None:
    risk.lift_hold(
        session, partner_id=person.partner_id, reason="a film went viral", actor="test", now=at
    )


@pytest.mark.parametrize(("count", "holds"), [(39, 0), (40, 1), (57, 1)])
def test_at_the_limit_a_partner_is_held(count: int, holds: int) -> None:
    ada, link = committed()
    click(link, every(SECOND, count))

    assert jobs.risk_sweep(LATER).startswith(f"{holds} holds placed")

    assert len(held(ada)) == holds


def test_bots_count_too() -> None:
    ada, link = committed()
    click(link, every(SECOND, 25), Reason.BOT)
    click(link, every(SECOND, 25, NOON + 2 * MINUTE), Reason.HEAD)

    sweep.run(LATER)

    (hold,) = held(ada)
    assert (hold.evidence["clicks"], hold.evidence["valid"]) == (50, 0)


def test_the_evidence_is_what_the_rule_saw() -> None:
    ada, link = committed()
    click(link, every(SECOND, 52))

    sweep.run(LATER)

    (hold,) = held(ada)
    facts = hold.evidence
    assert (facts["rule"], facts["limit"], facts["clicks"]) == ("velocity", 40, 52)
    assert (facts["ip_hashes"], facts["user_agents"], facts["networks"]) == (52, 1, 1)
    assert (facts["datacenter_share"], facts["conversions"]) == ("0 %", 0)
    assert facts["click_to_conversion_s"] == []
    assert "52 clicks" in hold.reason
    assert (hold.flag, hold.deadline) == (Flag.HOLD, LATER + timedelta(days=30))


def test_any_ten_minutes_are_looked_at() -> None:
    inside, outside = committed(), committed()
    begin = NOON + timedelta(seconds=30)  # its ten minutes touch eleven full ones
    gap = (10 * MINUTE - SECOND) / 39
    click(inside[1], every(gap, 40, begin))
    click(outside[1], every((10 * MINUTE + SECOND) / 39, 40, begin))

    sweep.run(LATER)

    assert len(held(inside[0])) == 1
    assert held(outside[0]) == []


def test_clicks_spread_over_hours_are_no_burst() -> None:
    ada, link = committed()
    click(link, every(MINUTE, 100))

    sweep.run(NOON + timedelta(hours=3))

    assert held(ada) == []


def test_late_clicks_are_seen() -> None:
    ada, link = committed()
    click(link, every(SECOND, 30))
    sweep.run(LATER)
    assert held(ada) == []

    click(link, every(SECOND, 30, NOON + MINUTE))  # a journal shipped hours later
    sweep.run(NOON + timedelta(hours=20))

    assert len(held(ada)) == 1


def test_a_lifted_hold_clears_the_clicks_before_it() -> None:
    ada, link = committed()
    click(link, every(SECOND, 60))
    sweep.run(LATER)
    with db.write() as session:
        lift(session, ada)

    sweep.run(LATER + 10 * MINUTE)
    click(link, every(SECOND, 39, LATER + MINUTE))
    sweep.run(LATER + 20 * MINUTE)
    assert held(ada) == []
    click(link, every(SECOND, 1, LATER + 2 * MINUTE))
    sweep.run(LATER + 30 * MINUTE)

    assert len(held(ada)) == 1


def test_switched_off_nothing_new_is_placed_and_old_holds_bind() -> None:
    ada, link = committed()
    bob, other = committed()
    click(link, every(SECOND, 60))
    sweep.run(LATER)
    with db.write() as session:
        flags.switch(
            session, flag=FeatureFlag.FEATURE_RISKBOT, on=False, actor="t", reason="test", now=LATER
        )
    click(other, every(SECOND, 60))

    assert jobs.risk_sweep(LATER).startswith("switched off")

    assert (len(held(ada)), len(held(bob))) == (1, 0)


def test_again_and_at_once_there_is_one_hold() -> None:
    _, link = committed()
    click(link, every(SECOND, 60))

    outcomes = at_once(6, lambda _: sweep.run(LATER))
    sweep.run(LATER)

    assert outcomes == {"done": 6}
    with db.read() as session:
        assert len(session.scalars(select(Hold)).all()) == 1
        mails = text("SELECT count(*) FROM notify_mail WHERE template = 'risk/email/hold_placed'")
        assert session.scalar(mails) == 1


def test_a_hold_lifted_meanwhile_is_not_placed_again() -> None:
    ada, link = committed()
    click(link, every(SECOND, 60))
    with db.write() as session:
        risk.place_hold(
            session,
            partner_id=ada.partner_id,
            flag=Flag.DMCA,  # lifting it clears the clicks, too, and the rule does not wait for it
            reason="seen",
            evidence={},
            actor="test",
            now=NOON,
            policy=policies.at(session, NOON),
        )

    def judge(session: Session) -> None:
        numbers = policies.at(session, LATER)
        velocity.judge(session, partner_id=ada.partner_id, now=LATER, policy=numbers)

    assert while_open(lambda session: lift(session, ada), judge) == "done"

    assert held(ada) == []


def test_overdue_holds_bind_on() -> None:
    ada, link = committed()
    click(link, every(SECOND, 60))
    sweep.run(LATER)

    done = sweep.run(LATER + timedelta(days=31))

    assert done.overdue == 1
    assert len(held(ada)) == 1


def test_own_and_group_limits_scale_the_rule() -> None:
    ada, link = committed()
    bob, other = committed()
    with db.write() as session:
        by, why = "test", "viral"
        group = groups.create(session, name="stars", actor=by, now=NOON)
        groups.move(
            session, partner_id=bob.partner_id, group_id=group.id, reason=why, actor=by, now=NOON
        )
        scales.set_for(
            session, partner_id=ada.partner_id, percent=50, reason=why, actor=by, now=NOON
        )
        scales.set_for_group(
            session, group_id=group.id, version=0, percent=200, reason=why, actor=by, now=NOON
        )
    click(link, every(SECOND, 20))
    click(other, every(SECOND, 79))

    sweep.run(LATER)
    assert (len(held(ada)), len(held(bob))) == (1, 0)
    click(other, every(SECOND, 1, NOON + 5 * MINUTE))
    sweep.run(LATER)

    (hold,) = held(bob)
    assert hold.evidence["limit"] == 80


def test_an_own_limit_comes_before_that_of_the_group_and_100_gives_it_up() -> None:
    ada, _ = committed()
    with db.write() as session:
        by, why = "test", "viral"
        group = groups.create(session, name="stars", actor=by, now=NOON)
        groups.move(
            session, partner_id=ada.partner_id, group_id=group.id, reason=why, actor=by, now=NOON
        )
        numbers = policies.at(session, NOON)

    def limit_after(*, own: int = 0, group_percent: int = 0, version: int = 0) -> int:
        with db.write() as session:
            if own:
                scales.set_for(
                    session, partner_id=ada.partner_id, percent=own, reason=why, actor=by, now=NOON
                )
            if group_percent:
                scales.set_for_group(
                    session,
                    group_id=group.id,
                    version=version,
                    percent=group_percent,
                    reason=why,
                    actor=by,
                    now=NOON,
                )
            found = scales.limits(session, partner_ids=[ada.partner_id], policy=numbers)
            return found[ada.partner_id]

    assert limit_after() == 40
    assert limit_after(group_percent=300) == 120
    assert limit_after(own=50) == 20
    assert limit_after(own=100) == 120
    assert limit_after(group_percent=100, version=1) == 40


def test_of_two_who_change_a_group_s_limit_at_once_one_is_told() -> None:
    with db.write() as session:
        group_id = groups.create(session, name="stars", actor="test", now=NOON).id

    def change(session: Session) -> None:
        scales.set_for_group(
            session,
            group_id=group_id,
            version=0,
            percent=200,
            reason="viral",
            actor="test",
            now=NOON,
        )

    assert while_open(change, change) == "LimitChanged"

    with db.read() as session:
        assert [one.version for one in scales.history(session, group_id=group_id)] == [1]


def test_a_version_of_a_limit_is_never_changed() -> None:
    ada, _ = committed()
    with db.write() as session:
        scales.set_for(
            session, partner_id=ada.partner_id, percent=50, reason="r", actor="test", now=NOON
        )

    with pytest.raises(DBAPIError), db.write() as session:
        session.execute(text("UPDATE risk_velocity_scale SET percent = 500"))
