"""Every refusal, told to people and to programs."""

import pytest
from fastapi.testclient import TestClient

NUMBERS = {
    "not-signed-in": 401,
    "not-found": 404,
    "forbidden": 403,
    "refused": 409,
    "too-small": 422,
    "limit-reached": 429,
}


@pytest.mark.parametrize(("kind", "number"), NUMBERS.items())
def test_a_program_gets_a_problem_with_the_real_number(
    program: TestClient, kind: str, number: int
) -> None:
    answer = program.get(f"/raise/{kind}")
    problem = answer.json()

    assert answer.status_code == number
    assert answer.headers["content-type"] == "application/problem+json"
    assert problem["type"] == f"urn:flowlink:problem:{kind}"
    assert problem["status"] == number
    assert problem["instance"] == f"/raise/{kind}"
    assert problem["request_id"] == answer.headers["x-request-id"]
    assert problem["detail"].endswith(".")


def test_a_problem_names_the_field_it_is_about(program: TestClient) -> None:
    assert program.get("/raise/too-small").json()["errors"][0]["field"] == "amount"


@pytest.mark.parametrize(("kind", "number"), NUMBERS.items())
def test_a_person_gets_a_page(browser: TestClient, kind: str, number: int) -> None:
    answer = browser.get(f"/raise/{kind}")

    assert answer.status_code == (400 if number in {409, 422} else number)
    assert answer.headers["content-type"].startswith("text/html")
    assert "<h1" in answer.text


@pytest.mark.parametrize("kind", ["refused", "too-small"])
def test_a_form_is_refused_with_400_even_by_a_program(program: TestClient, kind: str) -> None:
    answer = program.post(f"/raise/{kind}", data={"amount": "1"})

    assert answer.status_code == 400
    assert answer.json()["status"] == 400


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/api/raise/refused", {"accept": "*/*"}),
        ("/raise/refused", {"accept": "*/*", "authorization": "Bearer flk_1"}),
        ("/raise/refused", {"accept": "*/*", "x-admin-secret": "s"}),
        ("/raise/refused", {"accept": "application/problem+json"}),
    ],
)
def test_programs_are_known_by_path_key_or_accept(
    program: TestClient, path: str, headers: dict[str, str]
) -> None:
    answer = program.get(path, headers=headers)

    assert (answer.status_code, answer.json()["status"]) == (409, 409)


@pytest.mark.parametrize("path", ["/webhooks/paypal", "/aff/nothing"])
def test_where_only_programs_ask_nobody_gets_a_page(program: TestClient, path: str) -> None:
    answer = program.post(path, content=b"?", headers={"accept": "*/*"})

    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


@pytest.mark.parametrize(
    ("path", "action"),
    [("/raise/not-signed-in", "/login"), ("/partner/raise/not-signed-in", "/partner/magic")],
)
def test_the_page_for_strangers_holds_the_sign_in_form(
    browser: TestClient, path: str, action: str
) -> None:
    answer = browser.get(path)

    assert answer.status_code == 401
    assert f'action="{action}"' in answer.text
    assert 'name="email"' in answer.text
    assert answer.text.count("<form") == 1


def test_htmx_gets_a_toast_and_keeps_its_page(browser: TestClient) -> None:
    answer = browser.post("/raise/refused", data={}, headers={"hx-request": "true"})

    assert answer.status_code == 400
    assert answer.headers["hx-retarget"] == "#toasts"
    assert answer.headers["hx-reswap"] == "beforeend"
    assert answer.headers["hx-push-url"] == "false"
    assert "<html" not in answer.text


def test_htmx_reloads_when_the_session_has_ended(browser: TestClient) -> None:
    answer = browser.get("/raise/not-signed-in", headers={"hx-request": "true"})

    assert answer.headers["hx-refresh"] == "true"


def test_a_form_that_cannot_be_read_moves_nothing(browser: TestClient) -> None:
    answer = browser.post("/pay", data={"note": "x" * 300})

    assert answer.status_code == 400
    assert "amount" in answer.text
    assert browser.app.state.writes == []  # type: ignore[attr-defined]


@pytest.mark.parametrize("body", ['{"count": "many"}', '{"count": 1, "more": 2}', "{", "[]"])
def test_a_wrong_body_is_422_and_repeats_no_value(program: TestClient, body: str) -> None:
    answer = program.post("/api/count", content=body, headers={"content-type": "application/json"})

    assert answer.status_code == 422
    assert answer.headers["content-type"] == "application/problem+json"
    assert "many" not in answer.text
    assert program.app.state.writes == []  # type: ignore[attr-defined]


def test_a_wrong_query_is_400_for_people_and_422_for_programs(
    browser: TestClient, program: TestClient
) -> None:
    assert browser.get("/days?days=900").status_code == 400
    assert program.get("/days?days=900").status_code == 422


def test_an_unknown_page_says_so_and_shows_the_way_on(browser: TestClient) -> None:
    answer = browser.get("/nothing")

    assert answer.status_code == 404
    assert "Cette page n\u2019existe pas" in answer.text
    assert 'href="/"' in answer.text


def test_a_wrong_method_names_the_right_ones(program: TestClient) -> None:
    answer = program.put("/days")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("path", ["/crash", "/overflow"])
def test_our_own_bug_is_500_without_its_reasons(
    browser: TestClient, program: TestClient, path: str
) -> None:
    page, problem = browser.get(path), program.get(path)

    assert (page.status_code, problem.status_code) == (500, 500)
    for answer in (page, problem):
        assert "secret detail" not in answer.text
        assert "Traceback" not in answer.text
        assert answer.headers["x-request-id"] in answer.text


def test_text_that_the_database_cannot_hold_is_the_senders_mistake(program: TestClient) -> None:
    assert program.get("/nul").status_code == 422
    assert program.get("/nul/a%00b").status_code == 404


def test_a_database_that_is_away_is_503_with_a_time_to_come_back(browser: TestClient) -> None:
    answer = browser.get("/away")

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")


def test_the_language_link_of_a_refused_form_leads_back_to_the_form(browser: TestClient) -> None:
    headers = {"referer": "http://testserver/ui?days=7"}

    answer = browser.post("/raise/refused", data={}, headers=headers)

    assert 'href="/ui?days=7&amp;lang=en"' in answer.text


def test_a_foreign_referer_is_never_linked(browser: TestClient) -> None:
    headers = {"referer": "https://evil.example/form"}

    answer = browser.post("/raise/refused", data={}, headers=headers)

    assert "evil" not in answer.text
    assert 'href="/form' not in answer.text


def test_the_openapi_document_promises_problems(program: TestClient) -> None:
    document = program.get("/openapi.json").json()
    responses = document["paths"]["/api/count"]["post"]["responses"]

    assert "422" not in responses
    assert "application/problem+json" in responses["default"]["content"]
    assert "HTTPValidationError" not in document["components"]["schemas"]


def test_a_program_is_told_how_to_sign_in(program: TestClient) -> None:
    answer = program.post("/raise/not-signed-in")

    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"
