"""Watches: what looks wrong together is watched, what does not is left alone, people decide."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flowlink.identity.ids import actor_of
from flowlink.kernel import audit, db, flags, policy as policies
from flowlink.kernel.flags import Flag as FeatureFlag
from flowlink.kernel.models import AuditRow, Event
from flowlink.notify.models import Mail
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.risk import queries, verdicts, watches
from flowlink.risk.models import Flag
from flowlink.risk.service import ReasonMissing
from flowlink.risk.verdicts import Verdict
from flowlink.risk.watch_models import Rule, Watch, WatchState
from flowlink.tracking.models import Link
from tests.factories import Person, make_partner
from tests.payouts.click_makers import link_to, make_offer
from tests.payouts.test_concurrency import at_once
from tests.risk.makers import BROWSER, NOON, every, machines, people, visit

LATER = NOON + timedelta(hours=1, minutes=7)


def look(session: Session, *persons: Person, now: datetime = LATER) -> dict[int, object]:
    found = watches.look(
        session,
        partner_ids=[person.partner_id for person in persons],
        hour=NOON,
        now=now,
        policy=policies.at(session, now),
    )
    return dict(found)


def stage(session: Session) -> tuple[Person, Link]:
    ada = make_partner(session)
    return ada, link_to(session, ada, make_offer(session, budget="100.00"))


def only_watch(session: Session) -> Watch:
    return session.scalars(select(Watch)).one()


def test_machines_are_watched_with_their_evidence(session: Session) -> None:
    ada, link = stage(session)
    numbers = machines(session, link)

    found = look(session, ada)

    assert set(found) == set(numbers)
    watch = only_watch(session)
    assert (watch.rule, watch.state, watch.deadline) == (
        Rule.DATACENTER,
        WatchState.OPEN,
        LATER + timedelta(days=30),
    )
    assert watch.evidence["clicks"] == 60
    assert {"datacenter", "networks", "rhythm"} <= set(watch.evidence["signals"])
    assert watch.score >= 60


def test_people_are_left_alone(session: Session) -> None:
    ada, link = stage(session)
    people(session, link, 200)

    assert look(session, ada) == {}

    assert session.scalars(select(Watch)).all() == []


def test_of_few_clicks_nothing_is_said(session: Session) -> None:
    ada, link = stage(session)
    machines(session, link, 39)

    assert look(session, ada) == {}


def test_machines_sent_at_an_honest_partner_are_found_alone(session: Session) -> None:
    ada, link = stage(session)
    honest, sent = people(session, link, 120), machines(session, link)

    found = look(session, ada)

    assert set(found) == set(sent)
    assert not set(found) & set(honest)
    assert queries.holds_of(session, ada.partner_id) == []


def test_own_clicks_are_watched_from_five_on(session: Session) -> None:
    ada, link = stage(session)
    home = "82.66.41.17"
    audit.record(session, actor_of(ada.user_id), "signed in", "x", NOON - timedelta(hours=2), home)
    session.flush()
    moments = every(timedelta(minutes=7, seconds=11), 4)
    agents = [f"{BROWSER} Build/{n}" for n in range(5)]
    visit(session, link, moments, addresses=[home], agents=agents)
    assert look(session, ada) == {}

    visit(session, link, [NOON + timedelta(minutes=50)], addresses=["82.66.41.99"])
    found = look(session, ada)

    assert len(found) == 5
    assert only_watch(session).rule == Rule.OWN


def test_addresses_of_a_local_network_say_nothing(session: Session) -> None:
    ada, link = stage(session)
    audit.record(session, actor_of(ada.user_id), "signed in", "x", NOON, "127.0.0.1")
    session.flush()
    agents = [f"{BROWSER} Build/{n}" for n in range(30)]
    visit(session, link, every(timedelta(minutes=1), 30), addresses=["127.0.0.1"], agents=agents)

    assert look(session, ada) == {}


def test_looking_again_adds_to_the_same_watch(session: Session) -> None:
    ada, link = stage(session)
    machines(session, link)
    first = look(session, ada)

    again = look(session, ada, now=LATER + timedelta(minutes=10))

    assert again == first
    assert only_watch(session).created_at == LATER


def test_switched_off_nothing_is_watched(session: Session) -> None:
    ada, link = stage(session)
    machines(session, link)
    flags.switch(
        session, flag=FeatureFlag.FEATURE_RISKBOT, on=False, actor="t", reason="test", now=NOON
    )

    assert look(session, ada) == {}


def test_what_a_person_cleared_is_not_brought_up_again(session: Session) -> None:
    ada, link = stage(session)
    machines(session, link)
    look(session, ada)
    watch = only_watch(session)

    decided(session, watch, Verdict.CLEAR)

    assert watch.state == WatchState.CLEARED
    assert look(session, ada, now=LATER + timedelta(hours=1)) == {} or all(
        found.rule != Rule.DATACENTER for found in watches.open_of(session, ada.partner_id)
    )


@pytest.mark.parametrize(
    ("verdict", "state"),
    [(Verdict.CLEAR, "cleared"), (Verdict.CONFIRM, "confirmed"), (Verdict.HOLD, "open")],
)
def test_each_verdict_does_what_it_says(session: Session, verdict: Verdict, state: str) -> None:
    ada, link = stage(session)
    machines(session, link)
    look(session, ada)
    watch = only_watch(session)

    decided(session, watch, verdict)

    assert watch.state == state
    assert bool(queries.holds_of(session, ada.partner_id)) == (verdict is Verdict.HOLD)
    told = session.scalars(select(Event.name).where(Event.name == "watch.decided")).all()
    assert len(told) == (verdict is not Verdict.HOLD)
    mails = session.scalars(select(Mail.template).where(Mail.template.like("risk/email/watch%")))
    assert mails.all() == ([] if state == "open" else [f"risk/email/watch_{state}"])


def test_a_ban_confirms_holds_and_closes(session: Session) -> None:
    ada, link = stage(session)
    machines(session, link)
    look(session, ada)

    decided(session, only_watch(session), Verdict.BAN)

    assert only_watch(session).state == WatchState.CONFIRMED
    assert [hold.flag for hold in queries.holds_of(session, ada.partner_id)] == [Flag.FRAUD]
    assert session.get_one(Partner, ada.partner_id).status == PartnerStatus.CLOSED
    actions = session.scalars(select(AuditRow.action).where(AuditRow.actor == "test"))
    assert {"confirmed fraud", "placed hold", "banned partner"} <= set(actions)
    machines(session, link)  # a closed partner's link leads nowhere
    assert look(session, ada, now=LATER + timedelta(minutes=1)) is not None


def test_a_decision_wants_a_reason_and_is_made_once(session: Session) -> None:
    ada, link = stage(session)
    machines(session, link)
    look(session, ada)
    watch = only_watch(session)
    with pytest.raises(ReasonMissing):
        decided(session, watch, Verdict.CLEAR, reason=" ")
    assert watch.state == WatchState.OPEN
    decided(session, watch, Verdict.CLEAR)

    with pytest.raises(watches.AlreadyDecided):
        watches.decide(session, watch_id=watch.id, fraud=True, reason="x", actor="test", now=LATER)


def test_the_database_lets_no_machine_decide(session: Session) -> None:
    ada, link = stage(session)
    machines(session, link)
    look(session, ada)
    watch = only_watch(session)

    with pytest.raises(DBAPIError, match="a person decides"), session.begin_nested():
        watches.decide(
            session, watch_id=watch.id, fraud=False, reason="x", actor="job:x", now=LATER
        )


def decided(session: Session, watch: Watch, verdict: Verdict, reason: str = "seen") -> None:
    verdicts.decide(
        session,
        watch_ids=[watch.id],
        verdict=verdict,
        reason=reason,
        actor="test",
        now=LATER,
        policy=policies.at(session, LATER),
    )
    session.flush()


@pytest.mark.usefixtures("database")
def test_decided_by_two_at_once_is_decided_once() -> None:
    with db.write() as session:
        ada, link = stage(session)
        machines(session, link)
        look(session, ada)
        watch_id = only_watch(session).id

    def clear(session: Session) -> None:
        watches.decide(
            session, watch_id=watch_id, fraud=False, reason="seen", actor="test", now=LATER
        )

    assert at_once(5, clear) == {"done": 1, "AlreadyDecided": 4}


@pytest.mark.usefixtures("database")
def test_two_looks_at_once_open_one_watch() -> None:
    with db.write() as session:
        ada, link = stage(session)
        machines(session, link)

    assert at_once(5, lambda session: look(session, ada)) == {"done": 5}

    with db.read() as session:
        assert only_watch(session).state == WatchState.OPEN
