"""A partner's endpoints: pages, API, and what they are told."""

from datetime import datetime, timedelta

from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.insights import outgoing
from flowlink.kernel import ids, jobs, policy as policies
from flowlink.notify import webhooks
from flowlink.notify.ids import DELIVERY, ENDPOINT, EndpointId
from flowlink.notify.models import Delivery, Endpoint, EndpointState, Mail
from flowlink.risk import service as risk
from flowlink.risk.models import Flag
from flowlink.tracking import postbacks
from flowlink.tracking.postbacks import PostbackIn
from tests.factories import Person, make_partner, sign_in
from tests.insights.makers import World, click_again, make_world, read, send, withdraw
from tests.tracking.makers import postback

URL = "https://hooks.invalid/in"


def endpoint(session: Session, person: Person, now: datetime) -> Endpoint:
    made = webhooks.add(
        session,
        owner_id=person.partner_id,
        url=URL,
        chosen=outgoing.EVENTS,
        offered=outgoing.EVENTS,
        method="POST",
        now=now,
    )
    session.flush()
    return made


def told(session: Session) -> list[str]:
    session.expire_all()
    return [one.event for one in session.query(Delivery).order_by(Delivery.id)]


def test_an_endpoint_is_told_of_sales_withdrawals_and_holds(
    session: Session, now: datetime
) -> None:
    registry.load()  # who hears of what happens
    world = make_world(session, now=now - timedelta(hours=1))
    other = make_partner(session)
    endpoint(session, world.ada, now)
    endpoint(session, other, now)
    click = click_again(session, world, now=now)
    query = postback(world.shop, subid=click, amount="8.00", status="approved", txn_id="new")
    postbacks.receive(session, request=PostbackIn("GET", query), now=now)
    withdraw(session, world.ada.partner_id, "10.00", now=now)
    risk.place_hold(
        session,
        partner_id=world.ada.partner_id,
        flag=Flag.HOLD,
        reason="A look at it",
        evidence={},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )
    session.flush()

    jobs.run_pending(now)

    assert sorted(told(session)) == [
        "conversion.changed",
        "hold.placed",
        "withdrawal.approved",
        "withdrawal.requested",
    ]
    (sale,) = session.query(Delivery).filter_by(event="conversion.changed")
    assert sale.body["data"]["amount"] == {"amount": "8.00", "currency": "EUR"}
    assert sale.body["data"]["commission"] == {"amount": "4.80", "currency": "EUR"}
    assert sale.body["data"]["click_id"] == click


def test_a_page_adds_tests_and_removes(client: TestClient, session: Session, now: datetime) -> None:
    ada = sign_in(client, make_partner(session))
    assert "No endpoints yet" in read(client, "/partner/webhooks")

    status, path = send(client, "/partner/webhooks", url=URL, events="hold.placed")
    assert (status, "hooks.invalid" in read(client, path)) == (303, True)
    assert f"{URL},hold.placed,active," in client.get("/partner/webhooks.csv").text
    assert "whsec_" in read(client, path)
    assert send(client, f"{path}/test") == (303, path)
    (sent,) = session.query(Delivery).all()
    log = read(client, f"/partner/webhooks/deliveries/{ids.public(DELIVERY, sent.id)}")
    assert "hello" in log
    assert "test" in client.get(f"{path}/deliveries.csv").text
    secret = webhooks.secret_of(session.query(Endpoint).one())
    assert send(client, f"{path}/secret")[0] == 303
    session.expire_all()
    assert webhooks.secret_of(session.query(Endpoint).one()) != secret
    assert send(client, f"{path}/off")[0] == 303
    assert send(client, f"{path}/test")[0] == 400
    assert send(client, f"{path}/on")[0] == 303
    assert send(client, path, url=f"{URL}/2", events="hold.lifted") == (303, path)
    assert session.query(Endpoint).one().owner_id == ada.partner_id
    assert send(client, f"{path}/remove") == (303, "/partner/webhooks")
    assert session.query(Endpoint).count() == 0


def test_inner_addresses_and_no_events_are_refused(client: TestClient, session: Session) -> None:
    sign_in(client, make_partner(session))

    assert send(client, "/partner/webhooks", url="http://10.0.0.1/", events="hold.placed")[0] == 400
    assert send(client, "/partner/webhooks", url=URL)[0] == 400
    assert send(client, "/partner/webhooks", url=URL, events="everything")[0] == 400

    assert session.query(Endpoint).count() == 0


def test_nobody_sees_the_endpoints_of_others(
    client: TestClient, session: Session, world: World, now: datetime
) -> None:
    theirs = endpoint(session, world.ada, now)
    webhooks.send_test(
        session, owner_id=world.ada.partner_id, endpoint_id=EndpointId(theirs.id), now=now
    )
    session.flush()
    (sent,) = session.query(Delivery).all()
    sign_in(client, make_partner(session))
    path = f"/partner/webhooks/{ids.public(ENDPOINT, theirs.id)}"
    delivery = f"/partner/webhooks/deliveries/{ids.public(DELIVERY, sent.id)}"

    for seen in (path, f"{path}/deliveries.csv", delivery):
        assert client.get(seen).status_code == 404, seen
    assert send(client, f"{path}/remove")[0] == 404
    assert send(client, f"{delivery}/replay")[0] == 404

    assert session.query(Endpoint).count() == 1


def test_the_api_does_the_same(client: TestClient, session: Session) -> None:
    sign_in(client, make_partner(session))
    api = "/api/partner/webhooks"

    made = client.post(api, json={"url": URL, "events": ["hold.placed"]}).json()
    listed = client.get(api).json()
    tested = client.post(f"{api}/{made['id']}/test")
    log = client.get(f"{api}/{made['id']}/deliveries").json()
    again = client.post(f"{api}/deliveries/{tested.json()['id']}/replay")
    bad = client.post(api, json={"url": "http://[::1]/", "events": ["hold.placed"]})
    gone = client.delete(f"{api}/{made['id']}")

    assert made["secret"].startswith("whsec_")
    assert "secret" not in listed["endpoints"][0]
    assert (tested.status_code, again.status_code, gone.status_code) == (202, 202, 204)
    assert [one["event"] for one in log["deliveries"]] == ["test"]
    assert (bad.status_code, bad.json()["type"]) == (422, "urn:flowlink:problem:bad-address")


def test_programs_change_an_endpoint_and_its_secret(client: TestClient, session: Session) -> None:
    sign_in(client, make_partner(session))
    api = "/api/partner/webhooks"
    made = client.post(api, json={"url": URL, "events": ["hold.placed"]}).json()
    own = f"{api}/{made['id']}"

    renewed = client.post(f"{own}/secret").json()
    off = client.patch(own, json={"active": False}).json()
    asleep = client.post(f"{own}/test")
    on = client.patch(own, json={"active": True, "events": ["hold.lifted", "hold.placed"]}).json()
    bad: list[object] = [
        {"url": "http://10.0.0.1/"},
        {"url": ""},
        {"events": []},
        {"method": "GET"},
    ]
    refused = [client.patch(own, json=body).status_code for body in bad]

    assert (renewed["id"], renewed["secret"] != made["secret"]) == (made["id"], True)
    assert (off["state"], off["events"], off["url"]) == ("paused", ["hold.placed"], URL)
    assert asleep.status_code == 409
    assert (on["state"], on["events"]) == ("active", ["hold.lifted", "hold.placed"])
    assert refused == [422] * 4
    assert client.get(api).json()["endpoints"] == [on]
    assert client.patch(f"{api}/hook_{'0' * 26}", json={}).status_code == 404


def test_the_owner_is_told_of_the_end(session: Session, world: World, now: datetime) -> None:
    made = endpoint(session, world.ada, now)
    made.state = EndpointState.DISABLED
    session.flush()

    outgoing.tell_owner(session, endpoint_id=made.id, owner_id=world.ada.partner_id, now=now)

    mail = session.query(Mail).filter_by(template="insights/email/endpoint_disabled").one()
    assert mail.to_address == world.ada.email
