"""A limit at any moment is the plan plus the grants that are valid at it: to the second."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings, strategies as st
from sqlalchemy.orm import Session

from flowlink.billing import grants, limits, purchases, quantities
from flowlink.billing.models import Grant, GrantVoid, Resource
from flowlink.billing.pricing import Limits
from flowlink.teams.models import Team
from tests.billing.makers import addon
from tests.teams.makers import make_team

FREE = Limits(cpu_cores=1, memory_mb=512, traffic_gb=1, storage_mb=1024)
PRO = Limits(cpu_cores=4, memory_mb=6144, traffic_gb=10, storage_mb=10240)
SECOND = timedelta(seconds=1)
INSTANT = timedelta(microseconds=1)
PARIS = ZoneInfo("Europe/Paris")
# A leap day, both changes of the clock in Paris, and a year's end.
EDGES = [
    datetime(2028, 2, 29, tzinfo=UTC),
    datetime(2027, 3, 28, 1, tzinfo=UTC),
    datetime(2027, 10, 31, 1, tzinfo=UTC),
    datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC),
]

moments = st.builds(
    lambda edge, seconds: edge + timedelta(seconds=seconds),
    st.sampled_from(EDGES),
    st.integers(-40 * 86_400, 40 * 86_400) | st.integers(-2, 2),
)


@dataclass(frozen=True)
class Room:
    """A grant of so many cores from a moment on, perhaps taken back."""

    starts_at: datetime
    lasts: timedelta
    cores: int
    voided_after: timedelta | None

    def cores_at(self, at: datetime) -> int:
        """What the contract says, in words: from its start to just before its end."""
        voided = self.voided_after is not None and at >= self.starts_at + self.voided_after
        valid = self.starts_at <= at < self.starts_at + self.lasts
        return self.cores if valid and not voided else 0


rooms = st.builds(
    Room,
    moments,
    st.sampled_from([SECOND, timedelta(days=1), grants.PERIOD]),
    st.integers(1, 16),
    st.none() | st.builds(timedelta, seconds=st.integers(0, 40 * 86_400)),
)


def give(session: Session, resource: Resource, room: Room) -> None:
    grant = Grant(
        team_id=resource.team_id,
        resource_id=resource.id,
        reason="rest",
        kind="cpu",
        plan="",
        cpu_cores=room.cores,
        memory_mb=0,
        traffic_gb=0,
        storage_mb=0,
        starts_at=room.starts_at,
        ends_at=room.starts_at + room.lasts,
        created_at=room.starts_at,
    )
    session.add(grant)
    session.flush()
    if room.voided_after is not None:
        session.add(
            GrantVoid(
                grant_id=grant.id,
                team_id=resource.team_id,
                voided_at=room.starts_at + room.voided_after,
                reason="test",
                created_at=room.starts_at,
            )
        )
        session.flush()


def edges_of(room: Room) -> list[datetime]:
    """Every moment about which one could be wrong, and its neighbours."""
    turns = [room.starts_at, room.starts_at + room.lasts]
    if room.voided_after is not None:
        turns.append(room.starts_at + room.voided_after)
    return [turn + step for turn in turns for step in (-SECOND, -INSTANT, 0 * SECOND, SECOND)]


@settings(
    max_examples=40,
)
@given(found=st.lists(rooms, max_size=6), more=st.lists(moments, max_size=3))
def test_what_is_valid_counts_and_nothing_else(
    session: Session, found: list[Room], more: list[datetime]
) -> None:
    with session.begin_nested() as aside:
        team = make_team(session, slug="limits")
        resource = addon(session, team, "cpu", EDGES[0])
        for room in found:
            give(session, resource, room)

        for at in [*more, *(edge for room in found for edge in edges_of(room))]:
            of_addons = limits.at(session, team.id, at).of_addons
            assert of_addons.cpu_cores == sum(room.cores_at(at) for room in found), at
        aside.rollback()


@pytest.mark.parametrize("start", EDGES)
def test_a_period_is_thirty_days_to_the_second(session: Session, start: datetime) -> None:
    """Neither a leap day nor a change of the clock makes it shorter or longer."""
    team = make_team(session)
    resource = addon(session, team, "cpu", start)
    session.add(
        grants.of(
            resource,
            quantity=2,
            reason="rest",
            starts_at=start,
            ends_at=start + grants.PERIOD,
            now=start,
        )
    )
    session.flush()
    end = start + timedelta(seconds=2_592_000)

    asked = [start - SECOND, start, end - SECOND, end - INSTANT, end, end + SECOND]
    seen = [limits.at(session, team.id, at.astimezone(PARIS)).of_addons.cpu_cores for at in asked]

    assert seen == [0, 2, 2, 2, 0, 0]


def test_a_plan_lasts_until_it_is_taken_back(session: Session) -> None:
    team = make_team(session)
    start, end = EDGES[0], EDGES[0] + timedelta(days=400)
    purchases.give_plan(session, team=team, plan="pro", actor="test", now=start)
    purchases.give_plan(session, team=team, plan="free", actor="test", now=end)

    def plan_at(at: datetime) -> Limits:
        return limits.at(session, team.id, at).of_plan

    assert [plan_at(at) for at in (start - SECOND, start, end - SECOND, end)] == [
        FREE,
        PRO,
        PRO,
        FREE,
    ]


def test_of_two_plans_at_once_the_greater_counts(session: Session) -> None:
    team = make_team(session)
    start = EDGES[0]
    purchases.give_plan(session, team=team, plan="pro", actor="test", now=start)
    resource = session.query(Resource).filter_by(team_id=team.id).one()
    session.add(
        grants.of(
            resource,
            quantity=1,
            reason="rest",
            starts_at=start,
            ends_at=start + SECOND,
            now=start,
        )
    )
    session.flush()

    assert limits.at(session, team.id, start).of_plan == PRO


@settings(max_examples=300)
@given(
    price=st.integers(1, 100_000),
    pieces=st.integers(1, 100),
    left=st.integers(0, 2_592_000),
)
def test_the_rest_of_a_period_is_whole_cents_and_never_too_many(
    price: int, pieces: int, left: int
) -> None:
    """By the second; the part of a cent stays with the customer."""
    asked = quantities.prorated_minor(price, pieces, left * SECOND)

    exact = price * pieces * left
    assert 0 <= exact - asked * 2_592_000 < 2_592_000


def test_the_rest_of_a_whole_period_is_its_price(session: Session) -> None:
    assert quantities.prorated_minor(200, 3, grants.PERIOD) == 600
    assert quantities.prorated_minor(200, 3, timedelta(0)) == 0


def test_another_teams_grants_do_not_count(session: Session) -> None:
    mine, other = make_team(session), make_team(session, slug="other")
    give(session, addon(session, other, "cpu", EDGES[0]), Room(EDGES[0], grants.PERIOD, 3, None))

    def cores(team: Team) -> int:
        return limits.at(session, team.id, EDGES[0]).of_addons.cpu_cores

    assert (cores(mine), cores(other)) == (0, 3)
