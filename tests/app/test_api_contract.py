"""Hostile requests: whatever API, forms and edge are sent, they answer and move nothing."""

import string
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx2
import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings as examples, strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from flowlink.app import checks
from flowlink.identity import service as identity
from flowlink.kernel import clock, db, settings
from tests.billing.makers import pro_team
from tests.conftest import Live
from tests.factories import Person, balance, make_partner
from tests.teams.makers import team_key

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
bounded = examples(
    max_examples=40,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
# What arrives in URLs and forms: plain, odd and hostile text.
text = st.one_of(
    st.text(max_size=300),
    st.text(alphabet=string.printable, max_size=80),
    st.sampled_from(
        ["", "0", "-1", "1e309", "NaN", "%00", "\x00", "' OR 1=1 --", "../" * 40, "<script>"]
    ),
    st.integers().map(str),
    st.floats().map(str),
)
FORMS = (
    ("/login", ("email",)),
    ("/partner/magic", ("email",)),
    ("/login/verify", ("token",)),
    ("/partners/withdraw", ("amount", "method", "details")),
    ("/partner/links", ("offer", "destination", "slug", "domain", "tags")),
    ("/partner/links/bulk", ("table", "form", "domain")),
    ("/admin/domains", ("host",)),
    ("/ops/unhold", ("pid", "reason")),
    ("/admin/pay", ("id", "reference")),
)
PAGES = (
    "/partners/leaderboard",
    "/partners/earnings",
    "/admin/payouts",
    "/admin/postbacks",
    "/admin/links",
)


@pytest.fixture
def rich(live: Live) -> Person:
    """A partner with money to lose."""
    with db.write() as session:
        return make_partner(session, available="50.00")


@pytest.fixture
def keys(rich: Person) -> dict[str, dict[str, str]]:
    """The right header for each side of the API."""
    with db.write() as session:
        key = identity.make_api_key(
            session,
            owner_kind="partner",
            owner_id=rich.partner_id,
            actor="test",
            now=clock.now(),
        )
        team = team_key(session, pro_team(session))
    return {
        "/api/resources": team,
        "/api/partner": {"Authorization": f"Bearer {key}"},
        "/api/admin": {"x-admin-secret": settings.current().admin_secret},
    }


@pytest.fixture
def browser(live: Live) -> Iterator[httpx2.Client]:
    """A client that may do what an operator may."""
    headers = {"x-admin-secret": settings.current().admin_secret}
    with httpx2.Client(base_url=live.url, headers=headers, timeout=30) as client:
        yield client


def assert_untouched(person: Person) -> None:
    with db.read() as session:
        assert balance(session, person, "available") == "50.00 EUR"
        assert checks.problems(session) == []


def test_the_api_keeps_its_contract(
    live: Live, rich: Person, keys: dict[str, dict[str, str]]
) -> None:
    document: Any = schemathesis.openapi.from_url(f"{live.url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations()]

    for operation in operations:
        headers = next(value for path, value in keys.items() if operation.path.startswith(path))
        call_often(operation, headers)

    assert len(operations) >= 9
    assert_untouched(rich)


def call_often(operation: Any, headers: dict[str, str]) -> None:
    for mode in schemathesis.GenerationMode:

        @bounded
        @given(case=operation.as_strategy(generation_mode=mode))
        def call(case: Any) -> None:
            case.validate_response(case.call(headers=headers), checks=CHECKS)

        call()


def test_no_form_and_no_page_fails(browser: httpx2.Client, rich: Person) -> None:
    @bounded
    @given(
        form=st.sampled_from(FORMS),
        values=st.lists(text, min_size=3, max_size=3),
        place=st.sampled_from(["data", "params"]),
    )
    def post(form: tuple[str, tuple[str, ...]], values: list[str], place: str) -> None:
        path, names = form
        sent = dict(zip(names, values, strict=False))
        answer = (
            browser.post(path, data=sent) if place == "data" else browser.post(path, params=sent)
        )
        assert answer.status_code < 500, (path, sent)

    @bounded
    @given(
        page=st.sampled_from(PAGES),
        name=st.sampled_from(["cursor", "days", "format", "q", "lang"]),
        value=text,
    )
    def read(page: str, name: str, value: str) -> None:
        answer = browser.get(page, params={name: value})
        assert answer.status_code < 500, (page, name, value)

    post()
    read()
    assert_untouched(rich)


def test_nothing_makes_the_edge_fail(browser: httpx2.Client, rich: Person) -> None:
    names = st.sampled_from(["subid", "amount", "currency", "status", "txn_id", "network", "key"])

    @bounded
    @given(query=st.dictionaries(names, text), code=text)
    def call(query: dict[str, str], code: str) -> None:
        answer = browser.get("/aff/postback", params=query)
        assert answer.status_code in {200, 401, 413, 414}, query
        clicked = browser.get(f"/l/{quote(code.encode(), safe='')}")
        assert clicked.status_code in {302, 404, 414}, code

    call()
    assert_untouched(rich)
