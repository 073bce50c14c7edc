"""The inbox: what waits for a person, how long already, until when, and where it is decided."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, text
from sqlalchemy.orm import Session

from flowlink.insights import case_facts, desk
from flowlink.insights.desk_queues import KINDS
from flowlink.kernel import ids, policy as policies
from flowlink.kernel.models import JobRun
from flowlink.kernel.money import Money
from flowlink.partners import ids as partner_ids, queries as partners
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.payouts import cases, disputes
from flowlink.payouts.case_models import Case
from flowlink.payouts.cases import Claim
from flowlink.risk import service as risk, watches
from flowlink.tracking import postbacks
from flowlink.tracking.journal_models import EdgeState, JournalLoss, JournalRefusal, Unrecorded
from flowlink.tracking.postbacks import PostbackIn
from tests.factories import Person, make_partner, sign_in
from tests.insights.makers import FRENCH, World, make_world, read, status, withdraw
from tests.tracking.makers import postback

DAY = timedelta(days=1)
PAGES = [
    "/admin/inbox",
    "/admin/inbox.csv",
    "/admin/inbox?queue=holds",
    "/admin/inbox/things.csv",
    "/admin/losses",
    "/admin/losses.csv",
    "/admin/losses/edges.csv",
    "/admin/losses/unrecorded.csv",
    "/admin/losses/refusals.csv",
]


def waiting(session: Session, now: datetime) -> dict[str, int]:
    return {wait.name: wait.count for wait in desk.waits(session, now=now)}


def hold(session: Session, person: Person, now: datetime) -> None:
    risk.place_hold(
        session,
        partner_id=person.partner_id,
        reason="odd clicks",
        evidence={},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )


def apply(session: Session, person: Person, now: datetime) -> None:
    """Let them wait for approval since `now`."""
    partner = session.get_one(Partner, person.partner_id)
    partner.status, partner.created_at = PartnerStatus.PENDING, now
    session.flush()


def complain(session: Session, person: Person, now: datetime) -> Case:
    claim = Claim(story="A sale is missing", amount=Money.parse("12.00"), happened_on=now.date())
    partner = partners.get(session, person.partner_id)
    trail = case_facts.gather(session, partner=partner, claim=claim)
    return cases.open_case(session, partner_id=person.partner_id, claim=claim, trail=trail, now=now)


def fail(session: Session, name: str, *, ok: bool, now: datetime) -> None:
    facts = {"as_of": now, "started_at": now, "ended_at": now, "result": "x"}
    session.execute(insert(JobRun).values(name=name, ok=ok, **facts))


def lose(session: Session, now: datetime) -> None:
    """An edge in trouble of every kind."""
    session.add_all(
        [
            JournalLoss(
                edge="e1", number=1, start_offset=0, end_offset=9, damage="torn", records=2, at=now
            ),
            JournalRefusal(
                edge="e1", segment=1, byte_offset=9, record=b"\x00\xff", reason="odd", at=now
            ),
            Unrecorded(day=now.date(), edge="e1", count=7, at=now),
            EdgeState(
                edge="e1",
                host="h",
                directory="/d",
                backlog_bytes=1,
                backlog_records=3,
                oldest_at=now - DAY,
                error="another database",
                seen_at=now,
            ),
            EdgeState(
                edge="e2",
                host="h",
                directory="/e",
                backlog_bytes=1,
                backlog_records=3,
                oldest_at=now - DAY,
                error="",
                seen_at=now,
            ),
        ]
    )
    session.flush()


@pytest.mark.parametrize("path", PAGES)
def test_only_operators_read_the_inbox(client: TestClient, session: Session, path: str) -> None:
    assert status(client, path) == 401

    sign_in(client, make_partner(session))
    assert status(client, path) == 403


@pytest.mark.parametrize("path", PAGES)
def test_it_opens_empty_and_full_in_both_languages(
    client: TestClient, session: Session, operator: Person, now: datetime, path: str
) -> None:
    assert status(client, path) == 200

    hold(session, make_partner(session), now)
    lose(session, now)
    for headers in ({}, FRENCH):
        assert status(client, path, **headers) == 200


def test_a_queue_that_does_not_exist_is_refused(client: TestClient, operator: Person) -> None:
    assert status(client, "/admin/inbox?queue=coffee") == 400
    assert status(client, "/admin/inbox?cursor=nonsense") == 400


def test_whatever_waits_for_a_person_stands_in_its_queue(
    session: Session, world: World, now: datetime
) -> None:
    assert waiting(session, now) == {}

    hold(session, make_partner(session), now)
    apply(session, make_partner(session), now)
    withdraw(session, make_partner(session, "900.00").partner_id, "500.00", now=now)
    for subid, state in (("nobody", "approved"), (world.click, "mystery")):
        query = postback(world.shop, subid=subid, amount="9", status=state, txn_id=subid[:6])
        postbacks.receive(session, request=PostbackIn("GET", query), now=now)
    disputes.open_dispute(
        session,
        conversion_id=world.conversion.id,
        reference="CB-1",
        actor="test",
        now=now,
    )
    complain(session, world.ada, now)
    fail(session, "reserve_release", ok=False, now=now)
    lose(session, now)

    assert waiting(session, now) == {
        "clicks_unrecorded": 7,
        "edges_halted": 1,
        "edges_late": 1,
        "journal_losses": 1,
        "journal_refusals": 1,
        "holds": 1,
        "withdrawals": 1,
        "orphans": 1,
        "quarantined": 1,
        "disputes": 1,
        "cases": 1,
        "jobs_failed": 1,
        "applications": 1,
    }


def test_a_job_that_went_well_since_waits_no_more(session: Session, now: datetime) -> None:
    fail(session, "reserve_release", ok=False, now=now)
    fail(session, "risk_sweep", ok=False, now=now)
    fail(session, "reserve_release", ok=True, now=now)

    (thing,) = desk.things(session, now=now)
    assert (thing.label, thing.href) == ("risk_sweep", "/admin/jobs/risk_sweep")


def test_what_is_late_comes_first_and_says_so(session: Session, now: datetime) -> None:
    ben, zoe = make_partner(session), make_partner(session)
    hold(session, ben, now)
    apply(session, zoe, now - 3 * DAY)

    first, second = desk.waits(session, now=now)
    assert (first.name, first.late_count, first.age(now)) == ("applications", 1, 3 * DAY)
    assert (second.name, second.late_count, second.due_at) == ("holds", 0, now + 30 * DAY)
    later = desk.waits(session, now=now + 31 * DAY)
    assert [(wait.name, wait.late_count) for wait in later] == [("holds", 1), ("applications", 1)]


def test_each_thing_leads_to_where_it_is_decided(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    ben, zoe = make_partner(session), make_partner(session)
    hold(session, ben, now)
    apply(session, zoe, now)

    shown = read(client, "/admin/inbox")
    only = read(client, "/admin/inbox?queue=holds")

    for person in (ben, zoe):
        address = f"/admin/partners/{partner_ids.public(person.partner_id)}"
        assert address in shown
        assert status(client, address) == 200
        assert (person.email in only) == (person is ben)
    assert ben.email in read(client, "/admin/inbox/things.csv")


def test_every_queue_leads_to_a_page(client: TestClient, operator: Person) -> None:
    assert {kind.href: status(client, kind.href) for kind in KINDS} == {
        kind.href: 200 for kind in KINDS
    }


def test_single_postbacks_and_cases_lead_to_their_pages(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    world = make_world(session, now=now)
    query = postback(world.shop, subid="nobody", amount="9", status="approved", txn_id="t7")
    postbacks.receive(session, request=PostbackIn("GET", query), now=now)
    made = complain(session, world.ada, now)
    disputes.open_dispute(
        session, conversion_id=world.conversion.id, reference="CB-1", actor="test", now=now
    )

    found = {one.queue: one.href for one in desk.things(session, now=now)}

    assert found["cases"] == f"/admin/cases/{ids.public('case', made.id)}"
    assert {status(client, href) for href in found.values()} == {200}


def test_what_has_no_page_of_its_own_is_shown_alone_in_its_list(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    people = [make_partner(session, "900.00") for _ in range(2)]
    for person in people:
        withdraw(session, person.partner_id, "500.00", now=now)
        watches.report(
            session,
            partner_id=person.partner_id,
            evidence={"shared": "iban"},
            score=60,
            now=now,
            policy=policies.at(session, now),
        )

    for one in desk.things(session, now=now):
        page = read(client, one.href)
        assert [person.email in page for person in people] == [
            person.email == one.label for person in people
        ]
        assert "One of them" in page
    assert status(client, "/ops/watches?watch=wat_x") == 404
    assert status(client, "/ops/payouts/pending?withdrawal=x") == 404


def test_every_thing_that_can_be_seen_alone_is_led_to() -> None:
    lists_only = {kind.name for kind in KINDS if not kind.thing}

    assert lists_only == {
        "clicks_unrecorded",
        "edges_halted",
        "journal_losses",
        "journal_refusals",
        "edges_late",
    }


def test_long_queues_page(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    for _ in range(52):
        hold(session, make_partner(session), now)

    seen = desk.things(session, now=now, start=50)

    assert len(seen) == 2
    assert "cursor=" in read(client, "/admin/inbox")


def test_programs_read_the_inbox_as_json(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    hold(session, make_partner(session), now)

    answer = client.get("/admin/inbox", headers={"accept": "application/json"})

    (queue,) = answer.json()["waiting"]
    assert (queue["queue"], queue["count"], queue["late"]) == ("holds", 1, 0)
    assert queue["url"] == "/ops/holds"


def test_a_record_that_was_set_aside_is_exported_as_it_is(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    lose(session, now)

    assert "00ff" in read(client, "/admin/losses/refusals.csv")
    assert ",7\r\n" in read(client, "/admin/losses/unrecorded.csv")
    assert "another database" in read(client, "/admin/losses")


def test_a_task_that_gave_up_waits_for_a_person(session: Session, now: datetime) -> None:
    session.execute(
        text(
            "INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
            " VALUES ('default', 'mail.requested', 'failed')"
        )
    )

    (thing,) = desk.things(session, now=now)
    assert (thing.queue, thing.label) == ("tasks_failed", "mail.requested")
    assert thing.href.startswith("/admin/jobs#task-")
