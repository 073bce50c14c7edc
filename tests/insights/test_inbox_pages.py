"""The inbox's pages: what waits, teaching, the dry run, changing networks, presets and reports."""

from datetime import datetime, timedelta

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import ids, jobs
from flowlink.tracking import networks, postbacks
from flowlink.tracking.ids import POSTBACK, REPORT
from flowlink.tracking.models import Postback
from flowlink.tracking.postbacks import PostbackIn
from flowlink.tracking.report_models import Report
from tests.factories import Person
from tests.insights.makers import ENGLISH, World, click_again, read, send, status
from tests.tracking.makers import conversions, postback

FORM = {
    "click_param": "aff_sub",
    "subid": "sub",
    "amount": "sum",
    "currency_field": "cur",
    "status": "st",
    "txn_id": "tx",
    "goal": "g",
    "statuses": "1 = approved\n2=pending",
    "addresses": "203.0.113.7, 198.51.100.0/24",
    "lookback_days": "30",
    "active": "on",
}


def receive(session: Session, world: World, now: datetime, **fields: str) -> Postback:
    request = PostbackIn(method="GET", query=postback(world.shop, **fields))
    result = postbacks.receive(session, request=request, now=now)
    session.flush()
    return session.get_one(Postback, result.postback_id)


def test_one_click_teaches_a_word(
    client: TestClient, session: Session, operator: Person, world: World, now: datetime
) -> None:
    click = click_again(session, world, now=now)
    receive(session, world, now, subid=click, amount="7.00", status="ok-ok", txn_id="t9")
    page = read(client, "/admin/postbacks/quarantine")
    assert "ok-ok" in page

    taught = send(
        client, "/admin/postbacks/teach", network="direct", word="ok-ok", meaning="approved"
    )
    jobs.run_pending(now + timedelta(seconds=1))

    assert taught == (303, "/admin/postbacks/quarantine")
    assert ("approved", 700, 1) in conversions(session)
    assert "ok-ok" not in read(client, "/admin/postbacks/quarantine")
    assert "ok-ok" in read(client, "/admin/audit")


def test_a_postback_shows_how_it_was_read_and_is_read_again(
    client: TestClient, session: Session, operator: Person, world: World, now: datetime
) -> None:
    orphan = receive(session, world, now, subid="nobody", amount="7.00", txn_id="t9")
    path = f"/admin/postbacks/{ids.public(POSTBACK, orphan.id)}"
    assert ("nobody" in read(client, path), "Read it again" in read(client, path)) == (True, True)

    assert send(client, f"{path}/replay") == (303, path)

    session.refresh(orphan)
    assert orphan.attempts == 2
    assert len(conversions(session)) == 1
    assert "postback.replayed" in read(client, "/admin/audit")
    assert send(client, "/admin/postbacks/pb_00000000000000000000000000/replay")[0] == 404


def test_the_dry_run_does_nothing(
    client: TestClient, session: Session, operator: Person, world: World, now: datetime
) -> None:
    click = click_again(session, world, now=now)
    before = session.query(Postback).count()

    query = f"subid%3D{click}%26amount%3D5.00%26status%3Dapproved"
    page = read(client, f"/admin/postbacks/try?network=direct&query={query}")

    assert ("Accepted" in page, "€5.00" in page) == (True, True)
    assert ids.public("par", world.ada.partner_id) in page
    path = "/admin/postbacks/try?network=direct&query="
    known = ids.public("cnv", world.conversion.id)
    assert known in read(client, f"{path}subid%3D{world.click}%26amount%3D9%26txn_id%3Dt1")
    assert "does not know this status word" in read(client, f"{path}status%3Dperhaps")
    assert "not one of ours" in read(client, f"{path}subid%3Dnonsense")
    assert status(client, "/admin/postbacks/try?network=nowhere&query=x") == 404
    assert session.query(Postback).count() == before
    assert len(conversions(session)) == 1


def test_a_network_is_changed_by_form(
    client: TestClient, session: Session, operator: Person, world: World
) -> None:
    assert "Change direct" in read(client, "/admin/networks/direct/edit")

    assert send(client, "/admin/networks/direct/edit", **FORM) == (303, "/admin/networks/direct")

    changed = networks.named(session, "direct")
    assert (changed.fields["subid"], changed.statuses["1"]) == ("sub", "approved")
    assert changed.addresses == ["203.0.113.7/32", "198.51.100.0/24"]
    assert (changed.lookback_days, changed.default_status) == (30, None)
    audited = "SELECT details->'lookback_days'->>'from' FROM kernel_audit ORDER BY id DESC LIMIT 1"
    assert session.scalar(text(audited)) == "90"


def test_the_time_of_a_change_is_mapped_and_taken_off_again(
    client: TestClient, session: Session, operator: Person
) -> None:
    done = (303, "/admin/networks/direct")

    assert send(client, "/admin/networks/direct/edit", **FORM, changed_at="ts") == done
    assert networks.named(session, "direct").fields["changed_at"] == "ts"
    assert 'value="ts"' in read(client, "/admin/networks/direct/edit")

    assert send(client, "/admin/networks/direct/edit", **FORM) == done
    assert "changed_at" not in networks.named(session, "direct").fields


@pytest.mark.parametrize(
    "changes",
    [
        {"statuses": "nonsense"},
        {"statuses": "x = perhaps"},
        {"addresses": "everywhere"},
        {"amount": "sub"},
        {"click_param": "a b"},
        {"currency": "USD"},
        {"default_status": "maybe"},
        {"lookback_days": "0"},
    ],
)
def test_a_bad_map_changes_nothing(
    client: TestClient, session: Session, operator: Person, world: World, changes: dict[str, str]
) -> None:
    assert send(client, "/admin/networks/direct/edit", **(FORM | changes))[0] == 400

    session.expire_all()
    kept = networks.named(session, "direct")
    assert (kept.fields["subid"], kept.addresses, kept.lookback_days) == ("subid", [], 90)


def test_a_key_is_replaced_by_form(
    client: TestClient, session: Session, operator: Person, world: World
) -> None:
    done = send(client, "/admin/networks/direct/key", grace_days="3")

    assert done == (303, "/admin/networks/direct")
    assert networks.key_of(networks.named(session, "direct")) != world.shop.key
    assert "believed until" in read(client, "/admin/networks/direct")


def test_a_network_is_made_from_a_preset(client: TestClient, operator: Person) -> None:
    assert "help-center.affise.com" in read(client, "/admin/networks/presets")

    made = send(client, "/admin/networks/presets", preset="affise", name="acme")

    assert made == (303, "/admin/networks/acme")
    assert "{sub1}" in read(client, "/admin/networks/acme")
    assert send(client, "/admin/networks/presets", preset="nowhere")[0] == 404


def test_a_report_is_looked_at_mapped_and_booked(
    client: TestClient, session: Session, operator: Person, world: World, now: datetime
) -> None:
    click = click_again(session, world, now=now)
    content = f"who,money,order,say\n{click},4.00,o1,approved\nx,1.00,o2,approved\n"
    answer = client.post(
        "/admin/reports",
        data={"network": "direct"},
        files={"file": ("march.csv", content)},
        headers=ENGLISH,
        follow_redirects=False,
    )
    path = answer.headers["location"]
    assert "march.csv" in read(client, "/admin/reports")
    assert "Choose a column" in read(client, path)

    mapped = send(client, f"{path}/columns", subid="0", amount="1", txn_id="2", status="3")
    assert (mapped, "€4.00" in read(client, path)) == ((303, path), True)
    assert len(conversions(session)) == 1
    assert send(client, f"{path}/start") == (303, path)
    jobs.run_pending(now + timedelta(seconds=1))

    assert ("approved", 400, 1) in conversions(session)
    assert "2 of 2 rows, 1 with problems" in read(client, path)
    problems = client.get(f"{path}/rows.csv?problems=true").text.splitlines()
    assert len(problems) == 2
    assert ("orphan" in problems[1], "o2" in problems[1]) == (True, True)
    assert send(client, f"{path}/start")[0] == 400


def test_the_api_does_the_same(
    client: TestClient, session: Session, operator: Person, world: World, now: datetime
) -> None:
    click = click_again(session, world, now=now)
    secret = {"x-admin-secret": "an-admin-secret-for-tests-only"}
    api = "/api/admin"

    changed = client.patch(f"{api}/networks/direct", json={"rebill": True}, headers=secret)
    taught = client.post(
        f"{api}/networks/direct/words", json={"word": "w", "meaning": "pending"}, headers=secret
    )
    made = client.post(f"{api}/network-presets", json={"preset": "cake"}, headers=secret)
    key = networks.key_of(networks.named(session, "direct"))
    query = f"network=direct&key={key}&subid={click}&amount=5.00&status=w&txn_id=q"
    address = f"https://links.example/aff/postback?{query}"
    tried = client.post(f"{api}/postbacks/preview", json={"query": address}, headers=secret)
    asked = client.post(f"{api}/postbacks/replay", json={"network": "direct"}, headers=secret)
    turned = client.post(f"{api}/networks/direct/key", json={}, headers=secret)
    file = {"file": ("a.csv", f"subid,amount,txn_id\n{click},1.00,z\n")}
    taken = client.post(f"{api}/networks/direct/reports", files=file, headers=secret)
    report = f"{api}/reports/{taken.json()['id']}"
    columns = {"columns": {"subid": 0, "amount": 1, "txn_id": 2}}
    chosen = client.put(f"{report}/columns", json=columns, headers=secret)
    shown = client.get(f"{report}/preview", headers=secret)
    started = client.post(f"{report}/start", headers=secret)

    assert (changed.json()["rebill"], taught.json()["statuses"]["w"]) == (True, "pending")
    assert (made.status_code, made.json()["click_param"]) == (201, "s2")
    assert (tried.json()["result"], tried.json()["status"]) == ("ok", "pending")
    assert tried.json()["fields"]["network"] == ["direct"]
    assert asked.json() == {"waiting": 0}
    assert turned.json()["key"] != key
    assert (taken.status_code, chosen.status_code, started.json()["state"]) == (201, 200, "running")
    assert [row["result"] for row in shown.json()["rows"]] == ["ok"]
    assert len(conversions(session)) == 1


def test_only_operators_may(client: TestClient, session: Session, world: World) -> None:
    report = Report(
        network_id=networks.named(session, "direct").id,
        filename="x",
        header=["a"],
        columns={},
        state="draft",
        rows=0,
        made_by="test",
        created_at=networks.named(session, "direct").created_at,
    )
    session.add(report)
    session.flush()
    paths = ("/admin/postbacks/quarantine", "/admin/reports", "/admin/networks/presets")
    report_path = f"/admin/reports/{ids.public(REPORT, report.id)}"

    for path in (*paths, report_path, f"{report_path}/rows.csv", "/api/admin/network-presets"):
        assert client.get(path, headers=ENGLISH).status_code == 401, path
