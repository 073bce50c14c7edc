"""What stands round every request: the cross-site guard (spec 1.3), headers, language, size."""

import re
from collections.abc import Iterator

import pytest
from fastapi.testclient import TestClient

from flowlink.web import middleware

UNSAFE = ["POST", "PUT", "DELETE"]


def writes(client: TestClient) -> list[str]:
    found: list[str] = client.app.state.writes  # type: ignore[attr-defined]
    return found


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "cross-site", "origin": "http://testserver"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"origin": "http://testserver.evil.example"},
        {"origin": "http://testserver:8080"},
        {"sec-fetch-site": "same-origin", "origin": "https://evil.example"},
    ],
)
def test_an_unsafe_request_from_another_site_does_nothing(
    browser: TestClient, method: str, headers: dict[str, str]
) -> None:
    answer = browser.request(method, "/move", headers=headers)

    assert answer.status_code == 403
    assert writes(browser) == []


@pytest.mark.parametrize("method", UNSAFE)
@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"sec-fetch-site": "same-origin"},
        {"sec-fetch-site": "none"},
        {"origin": "http://testserver"},
        {"sec-fetch-site": "same-origin", "origin": "http://testserver"},
    ],
)
def test_our_own_pages_and_programs_without_a_browser_pass(
    browser: TestClient, method: str, headers: dict[str, str]
) -> None:
    answer = browser.request(method, "/move", headers=headers)

    assert answer.status_code == 303
    assert writes(browser) == ["moved"]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/move", {"authorization": "Bearer flk_1"}),
        ("/move", {"x-admin-secret": "s"}),
        ("/aff/postback", {}),
        ("/webhooks/stripe", {}),
    ],
)
def test_keys_postbacks_and_webhooks_are_exempt(
    browser: TestClient, path: str, headers: dict[str, str]
) -> None:
    foreign = {"sec-fetch-site": "cross-site", "origin": "https://evil.example"}

    answer = browser.post(path, headers=headers | foreign)

    assert answer.status_code == 303


def test_basic_credentials_are_no_key(browser: TestClient) -> None:
    headers = {"authorization": "Basic YTpi", "sec-fetch-site": "cross-site"}

    assert browser.post("/move", headers=headers).status_code == 403


def test_a_link_on_another_site_may_be_followed(browser: TestClient) -> None:
    answer = browser.get("/ui", headers={"sec-fetch-site": "cross-site"})

    assert answer.status_code == 200


def test_the_content_security_policy_allows_no_inline_code(browser: TestClient) -> None:
    first, second = browser.get("/ui"), browser.get("/ui")
    policy = first.headers["content-security-policy"]

    assert "unsafe-" not in policy
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "*" not in policy
    nonce = re.search(r"'nonce-([\w-]{20,})'", policy)
    assert nonce is not None
    assert nonce[1] in first.text
    assert nonce[1] not in second.headers["content-security-policy"]


@pytest.mark.parametrize("path", ["/ui", "/nothing", "/crash", "/away", "/raise/refused"])
def test_every_page_carries_the_protecting_headers(browser: TestClient, path: str) -> None:
    headers = browser.get(path).headers

    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "script-src 'self' 'nonce-" in headers["content-security-policy"]
    assert headers["x-request-id"].startswith("req_")


def test_a_reasonable_request_id_is_kept_and_another_replaced(browser: TestClient) -> None:
    kept = browser.get("/ui", headers={"x-request-id": "trace-0123456789"})
    replaced = browser.get("/ui", headers={"x-request-id": "<script>"})

    assert kept.headers["x-request-id"] == "trace-0123456789"
    assert replaced.headers["x-request-id"].startswith("req_")


@pytest.mark.parametrize(
    ("query", "cookie", "accepted", "expected"),
    [
        ("", "", "", "fr"),
        ("", "", "en-GB,en;q=0.9", "en"),
        ("", "", "de,en;q=0.5,fr;q=0.8", "fr"),
        ("", "", "en;q=0,fr;q=0.1", "fr"),
        ("", "", "de-DE", "fr"),
        ("", "", "en;q=oops", "fr"),
        ("", "lang=en", "fr", "en"),
        ("", "lang=xx", "en", "en"),
        ("?lang=fr", "lang=en", "en", "fr"),
        ("?lang=xx", "", "en", "en"),
    ],
)
def test_the_language_is_asked_then_kept_then_negotiated(
    browser: TestClient, query: str, cookie: str, accepted: str, expected: str
) -> None:
    headers = {"accept-language": accepted} | ({"cookie": cookie} if cookie else {})

    answer = browser.get(f"/nothing{query}", headers=headers)

    assert f'<html lang="{expected}"' in answer.text
    assert answer.headers["content-language"] == expected


def test_asking_for_a_language_and_a_theme_keeps_them(browser: TestClient) -> None:
    browser.get("/ui?lang=en&theme=dark")
    later = browser.get("/nothing")

    assert 'lang="en"' in later.text
    assert 'data-theme="dark"' in later.text


def test_an_unknown_language_or_theme_sets_no_cookie(browser: TestClient) -> None:
    assert "set-cookie" not in browser.get("/ui?lang=xx&theme=pink").headers


def test_what_answers_get_answers_head_without_a_body(browser: TestClient) -> None:
    full, head = browser.get("/ui/focus"), browser.head("/ui/focus")

    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == full.headers["content-type"]
    assert browser.head("/nothing").status_code == 404


def test_a_body_announced_too_large_is_not_read(program: TestClient) -> None:
    body = b"x" * (middleware.LARGEST_BODY_BYTES + 1)

    answer = program.post("/api/count", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 413
    assert answer.json()["status"] == 413


def test_a_body_that_grows_too_large_is_cut_off(program: TestClient) -> None:
    def endless() -> Iterator[bytes]:
        for _ in range(20):
            yield b" " * 100_000

    answer = program.post(
        "/api/count", content=endless(), headers={"content-type": "application/json"}
    )

    assert answer.status_code == 413
    assert writes(program) == []
