"""A partner's pages about links, the API beside them, and the operator's."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.kernel import ids
from flowlink.tracking import clicks, domains, service
from flowlink.tracking.clicks import Visit
from flowlink.tracking.ids import LINK
from flowlink.tracking.models import Reason
from tests.tracking.makers import BROWSER, Shop, make_partner, rows

ADMIN = {"x-admin-secret": "an-admin-secret-for-tests-only"}
PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def partner(session: Session, client: TestClient, shop: Shop, now: datetime) -> TestClient:
    key = identity.make_api_key(
        session, owner_kind="partner", owner_id=shop.partner_id, scopes=None, actor="test", now=now
    )
    client.headers["authorization"] = f"Bearer {key}"
    client.headers["accept-language"] = "en"
    return client


@pytest.fixture
def here(shop: Shop) -> str:
    return f"/partner/links/{ids.public(LINK, shop.link.id)}"


def test_links_are_listed_searched_and_taken_along(
    session: Session, partner: TestClient, shop: Shop, now: datetime
) -> None:
    partner.post("/api/partner/links", json={"slug": "summer-mail", "tags": ["Mail"]})

    everything = partner.get("/partner/links").text
    found = partner.get("/partner/links?q=SUMMER").text
    tagged = partner.get("/partner/links.csv?tag=mail").text
    none = partner.get("/partner/links?state=disabled").text

    assert "summer-mail" in everything
    assert shop.link.code in everything
    assert "summer-mail" in found
    assert shop.link.code not in found
    assert ("summer-mail" in tagged, "http://testserver/go" in tagged) == (True, True)
    assert shop.link.code not in tagged
    assert "No link found" in none


def test_a_page_of_links_leads_to_the_next(
    session: Session, partner: TestClient, shop: Shop, now: datetime
) -> None:
    for _ in range(50):
        service.create_link(session, partner_id=shop.partner_id, now=now)

    first = partner.get("/partner/links").text

    assert shop.link.code not in first
    assert "cursor=" in first


def test_a_link_is_changed_switched_off_and_on(
    session: Session, partner: TestClient, here: str
) -> None:
    form = {
        "destination": "{base_url}/sale?x={link}",
        "expires_on": "2099-12-31",
        "tags": "June, Mail",
        "note": "for the newsletter",
        "targets": "phone FR {base_url}/app\ntablet {base_url}/tab",
        "weighted": "3 {base_url}/a\n1 {base_url}/b",
    }

    changed = partner.post(here, data=form, follow_redirects=False)
    off = partner.post(f"{here}/disable", follow_redirects=False)
    told = partner.get(f"/api{here}").json()
    on = partner.post(f"{here}/enable", follow_redirects=False)
    page = partner.get(here).text

    assert [one.status_code for one in (changed, off, on)] == [303, 303, 303]
    assert told["state"] == "disabled"
    assert told["destination"] == "{base_url}/sale?x={link}"
    assert told["expires_at"] == "2099-12-31T23:59:59Z"
    assert told["tags"] == ["june", "mail"]
    assert told["targets"][0] == {
        "destination": "{base_url}/app",
        "device": "phone",
        "country": "FR",
    }
    assert [one["weight"] for one in told["weighted"]] == [3, 1]
    assert "phone FR {base_url}/app" in page
    assert rows(session, "SELECT disabled_at FROM tracking_link") == [(None,)]


@pytest.mark.parametrize(
    "form",
    [
        {"destination": "https://evil.example/"},
        {"targets": "phone https://evil.example/"},
        {"targets": "toaster {base_url}/a"},
        {"targets": "{base_url}/a"},
        {"weighted": "lots {base_url}/a\n1 {base_url}/b"},
        {"weighted": "1 {base_url}/a"},
        {"tags": "a" * 31},
        {"expires_on": "2001-01-01"},
    ],
)
def test_what_a_link_may_not_be_is_refused(
    session: Session, partner: TestClient, here: str, form: dict[str, str]
) -> None:
    refused = partner.post(here, data=form, follow_redirects=False)

    assert refused.status_code == 400
    query = "SELECT destination, routing, tags, expires_at FROM tracking_link"
    assert rows(session, query) == [(None, None, [], None)]


def test_a_program_changes_only_what_it_says(partner: TestClient, here: str) -> None:
    partner.patch(f"/api{here}", json={"tags": ["a"], "note": "n"})

    changed = partner.patch(f"/api{here}", json={"note": "other", "disabled": True}).json()

    assert (changed["tags"], changed["note"], changed["state"]) == (["a"], "other", "disabled")


def test_the_qr_code_comes_as_drawing_and_picture(partner: TestClient, here: str) -> None:
    drawing, picture = partner.get(f"{here}/qr.svg"), partner.get(f"{here}/qr.png?scale=4")

    assert drawing.headers["content-type"] == "image/svg+xml"
    assert b"<svg" in drawing.content
    assert picture.content.startswith(PNG)


def test_nobody_elses_link_is_shown_or_changed(
    session: Session, partner: TestClient, now: datetime
) -> None:
    other = make_partner(session, now=now)
    link = service.create_link(session, partner_id=other, now=now)
    there = f"/partner/links/{ids.public(LINK, link.id)}"

    answers = [
        partner.get(there),
        partner.get(f"{there}/live"),
        partner.get(f"{there}/qr.svg"),
        partner.get(f"/api{there}"),
        partner.get(f"/api{there}/statistics"),
        partner.get(f"/partner/statistics.csv?link={ids.public(LINK, link.id)}"),
        partner.post(there, data={"note": "mine"}),
        partner.post(f"{there}/disable"),
        partner.patch(f"/api{there}", json={"note": "mine"}),
    ]

    assert {one.status_code for one in answers} == {404}
    session.refresh(link)
    assert (link.note, link.disabled_at) == ("", None)


def test_statistics_are_shown_counted_live_and_taken_along(
    session: Session, partner: TestClient, shop: Shop, here: str, now: datetime
) -> None:
    visits = [
        Visit(shop.link.code, now, f"203.0.113.{n}", BROWSER, "news.example", Reason.VALID)
        for n in range(3)
    ]
    clicks.store(session, visits=visits)

    pages = [partner.get("/partner/statistics").text, partner.get(here).text]
    live = partner.get("/partner/statistics/live").text
    devices = partner.get("/partner/statistics.csv?part=devices").text
    told = partner.get(f"/api{here}/statistics?days=7").json()

    assert all("news.example" in page for page in pages)
    assert 'hx-get="/partner/statistics/live"' in live
    assert ">3<" in live.replace(" ", "").replace("\n", "")
    assert "desktop,3,0,0" in devices
    assert told["total"] == {"name": "total", "valid": 3, "bots": 0, "others": 0}
    assert told["referrers"][0]["name"] == "news.example"
    assert len(told["days"]) == 7
    for part in ("hours", "days", "countries", "referrers", "reasons"):
        assert partner.get(f"/partner/statistics.csv?part={part}").status_code == 200


def test_a_table_is_looked_at_first_then_made(session: Session, partner: TestClient) -> None:
    table = "slug,destination\nfirst-one,http://testserver/a\n,https://evil.example/\n"

    seen = partner.post("/partner/links/bulk", data={"table": table})
    before = rows(session, "SELECT count(*) FROM tracking_link")
    done = partner.post("/partner/links/bulk", data={"table": table, "confirmed": "yes"})

    assert seen.status_code == done.status_code == 200
    assert "One link can be made." in seen.text
    assert "This offer does not allow links to evil.example." in seen.text
    assert before == [(1,)]
    assert "http://testserver/l/first-one" in done.text
    assert rows(session, "SELECT count(*) FROM tracking_link") == [(2,)]


def test_a_file_of_another_shortener_is_taken(session: Session, partner: TestClient) -> None:
    file = ("yourls.csv", "source,target,hits\n/old/,http://testserver/a,7\n", "text/csv")
    picture = ("bad.csv", b"\x89PNG\x81", "text/csv")

    done = partner.post(
        "/partner/links/bulk",
        data={"form": "yourls", "confirmed": "yes"},
        files={"file": file},
    )
    bad = partner.post("/partner/links/bulk", files={"file": picture})

    assert "http://testserver/l/old" in done.text
    assert bad.status_code == 400
    assert partner.get("/partner/links/bulk").status_code == 200
    assert "slug,destination" in partner.get("/partner/links/bulk.csv").text


def test_programs_make_many_links(session: Session, partner: TestClient) -> None:
    wanted = [
        {"slug": "bulk-one"},
        {"destination": "https://evil.example/"},
        {"offer": "a\x00b"},
        {"domain": "a\x00b"},
    ]

    seen = partner.post("/api/partner/links/bulk", json={"links": wanted, "preview": True}).json()
    before = rows(session, "SELECT count(*) FROM tracking_link")
    made = partner.post("/api/partner/links/bulk", json={"links": wanted}).json()

    assert [one["result"] for one in seen["links"]] == ["would_create"] + ["refused"] * 3
    assert before == [(1,)]
    assert [one["result"] for one in made["links"]] == ["created"] + ["refused"] * 3
    assert made["links"][0]["url"] == "http://testserver/l/bulk-one"
    assert made["links"][1]["field"] == "destination"


def test_an_operator_sees_all_links_and_switches_one_off(
    session: Session, client: TestClient, shop: Shop, here: str
) -> None:
    name = here.rpartition("/")[2]

    listed = client.get("/admin/links", headers=ADMIN).text
    file = client.get(f"/admin/links.csv?q={shop.link.code}", headers=ADMIN).text
    off = client.post(f"/admin/links/{name}/disable", headers=ADMIN, follow_redirects=False)

    assert shop.link.code in listed
    assert shop.link.code in file
    assert off.status_code == 303
    session.refresh(shop.link)
    assert shop.link.disabled_at is not None
    assert rows(session, "SELECT 1 FROM kernel_audit WHERE action = 'link.disabled'") == [(1,)]


@pytest.mark.parametrize(
    "page", ["/admin/links", "/admin/links.csv", "/admin/domains", "/admin/domains.csv"]
)
def test_only_operators_see_the_console(partner: TestClient, page: str) -> None:
    assert partner.get(page).status_code == 403


def test_a_domain_has_codes_of_its_own(
    session: Session, client: TestClient, partner: TestClient, shop: Shop, now: datetime
) -> None:
    domains.add(session, host="Go.Example.org", actor="test", now=now)
    body = {"slug": shop.link.code, "domain": "go.example.org", "destination": "{base_url}/other"}

    made = partner.post("/api/partner/links", json=body)
    here, there = (
        clicks.store(
            session,
            visits=[Visit(shop.link.code, now, "203.0.113.9", BROWSER, "", Reason.VALID, host)],
        )[0]
        for host in ("", "go.example.org")
    )

    assert made.json()["url"] == f"http://go.example.org/{shop.link.code}"
    assert here is not None
    assert there is not None
    assert here.destination == "{base_url}/go"
    assert there.destination == "{base_url}/other"


def test_a_closed_domain_leads_nowhere_and_takes_no_links(
    session: Session, partner: TestClient, shop: Shop, now: datetime
) -> None:
    domain = domains.add(session, host="go.example.org", actor="test", now=now)
    partner.post("/api/partner/links", json={"slug": "some-one", "domain": "go.example.org"})
    key = domains.DomainId(domain.id)
    domains.switch(session, domain_id=key, active=False, actor="test", now=now)

    refused = partner.post("/api/partner/links", json={"domain": "go.example.org"})
    visit = Visit("some-one", now, "203.0.113.9", BROWSER, "", Reason.VALID, "go.example.org")

    assert refused.status_code == 404
    assert clicks.store(session, visits=[visit]) == [None]


@pytest.mark.parametrize("host", ["testserver", "nothing", "a b.example", "x.example/y", "*.x.de"])
def test_not_everything_is_a_domain(session: Session, client: TestClient, host: str) -> None:
    added = client.post("/admin/domains", data={"host": host}, headers=ADMIN)

    assert added.status_code == 400
    assert rows(session, "SELECT count(*) FROM tracking_domain") == [(0,)]


def test_an_operator_adds_and_closes_a_domain(session: Session, client: TestClient) -> None:
    for _ in range(2):
        client.post("/admin/domains", data={"host": "go.example.org"}, headers=ADMIN)
    page = client.get("/admin/domains", headers=ADMIN)
    ((key,),) = rows(session, "SELECT id FROM tracking_domain")
    closed = client.post(
        f"/admin/domains/{ids.public(domains.DOMAIN, key)}",  # type: ignore[arg-type]
        headers=ADMIN,
        follow_redirects=False,
    )

    assert "go.example.org" in page.text
    assert closed.status_code == 303
    assert rows(session, "SELECT active FROM tracking_domain") == [(False,)]


@pytest.mark.parametrize(
    "query", ["q=%00", "tag=%00", "q=%25_%5C", "cursor=x", "state=none", "tag=" + "x" * 200]
)
def test_no_search_breaks_the_list(partner: TestClient, query: str) -> None:
    for page in ("/partner/links", "/partner/links.csv"):
        assert partner.get(f"{page}?{query}").status_code in {200, 400, 422}


def test_no_nought_letter_breaks_a_form(partner: TestClient, here: str) -> None:
    forms = [
        (here, {"note": "\x00"}),
        (here, {"tags": "\x00"}),
        (here, {"destination": "http://testserver/\x00"}),
        (here, {"targets": "phone\x00 {base_url}/a"}),
        ("/partner/links", {"domain": "\x00"}),
        ("/partner/links", {"tags": "a\x00b"}),
        ("/partner/links/bulk", {"table": "slug,domain\nabc,\x00\n"}),
        ("/partner/links/bulk", {"table": "code,long_url\na,b", "form": "bitly", "domain": "\x00"}),
    ]

    answers = [partner.post(path, data=form, follow_redirects=False) for path, form in forms]

    assert all(answer.status_code in {200, 400, 404} for answer in answers)
