"""Domains for short links over HTTP: their codes, and nothing else of the product."""

import pytest
from fastapi.testclient import TestClient

from flowlink.app import web
from flowlink.kernel import clock, db
from flowlink.tracking import domains, service
from tests.tracking.makers import BROWSER, Shop, ask, committed_shop

HOST = "go.example.org"


@pytest.fixture
def shop(database: str) -> Shop:
    made = committed_shop(slug="our-own")
    with db.write() as session:
        domains.add(session, host=HOST, actor="test", now=clock.now())
        service.create_link(
            session, partner_id=made.partner_id, slug="Summer", host=HOST, now=clock.now()
        )
    return made


def get(client: TestClient, path: str, host: str = HOST) -> tuple[int, str]:
    headers = {"host": host, "user-agent": BROWSER, "accept-language": "en"}
    answer = client.get(path, headers=headers, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", "")


def test_a_domain_serves_its_own_links_and_nothing_else(shop: Shop) -> None:
    with TestClient(web.create_app()) as client:
        status, location = get(client, "/Summer")
        old, _ = get(client, "/l/Summer", f"{HOST.upper()}:8443")
        others = [
            get(client, path)[0]
            for path in ("/our-own", "/l/our-own", "/", "/admin", "/partners", "/api/partner/links")
        ]
        postback, _ = get(client, "/aff/postback?network=direct&key=x")
        own, _ = get(client, "/l/our-own", "testserver")
        foreign, _ = get(client, "/l/Summer", "testserver")
        unknown, _ = get(client, "/l/our-own", "elsewhere.example")

    assert status == 302
    assert location.startswith("http://testserver/go?subid=")
    assert old == 302
    assert others == [404] * 6
    assert postback == 404
    assert own == 302
    assert foreign == 404
    assert unknown == 302
    assert ask("SELECT count(*) FROM tracking_click") == [(4,)]
    assert ask("SELECT count(*) FROM tracking_postback") == [(0,)]


def test_the_page_for_what_leads_nowhere_has_its_style(shop: Shop) -> None:
    with TestClient(web.create_app()) as client:
        assert get(client, "/static/nothing.css")[0] == 404
        assert get(client, "/favicon.ico")[0] in {200, 404}
