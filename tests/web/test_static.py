"""Assets: under their content's name, for ever; nothing else can be read."""

import pytest
from fastapi.testclient import TestClient

from flowlink.web import static


def test_an_asset_is_kept_for_ever_and_sent_compressed(browser: TestClient) -> None:
    answer = browser.get(static.url("app.css"), headers={"accept-encoding": "gzip"})

    assert answer.status_code == 200
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.headers["content-type"].startswith("text/css")
    assert ".btn" in answer.text


def test_a_reader_without_gzip_gets_the_plain_file(browser: TestClient) -> None:
    answer = browser.get(static.url("app.css"), headers={"accept-encoding": "identity"})

    assert "content-encoding" not in answer.headers
    assert ".btn" in answer.text


@pytest.mark.parametrize(
    "path",
    [
        "/static/app.css",
        "/static/manifest.json",
        "/static/.stamp",
        "/static/../i18n.py",
        "/static/%2e%2e/i18n.py",
        "/static/",
    ],
)
def test_only_files_of_the_manifest_are_served(browser: TestClient, path: str) -> None:
    assert browser.get(path).status_code == 404


def test_assets_cannot_be_written(browser: TestClient) -> None:
    assert browser.post(static.url("app.css")).status_code == 405


def test_the_favicon_is_where_browsers_look(browser: TestClient) -> None:
    answer = browser.get("/favicon.ico")

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/x-icon")
