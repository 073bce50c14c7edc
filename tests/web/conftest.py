"""A small application behind the real stack: one route for each way in which a request can end."""

from collections.abc import Iterator
from socket import socket
from threading import Thread
from typing import Annotated

import pytest
import uvicorn
from fastapi import APIRouter, FastAPI, Form, Query
from fastapi.testclient import TestClient
from playwright.sync_api import Browser, sync_playwright
from pydantic import BaseModel, ConfigDict
from sqlalchemy.exc import DataError, OperationalError
from starlette.responses import Response

from flowlink.kernel.errors import (
    Forbidden,
    Invalid,
    LimitReached,
    NotFound,
    NotSignedIn,
    Refused,
)
from flowlink.web import errors, middleware, routes, static
from flowlink.web.forms import CheckboxField, Line, MoneyField
from flowlink.web.render import see_other


class TooSmall(Invalid):
    message = "Please check what you entered."
    field = "amount"


class Payment(BaseModel):
    """A form as a page of the product has them."""

    amount: MoneyField
    note: Line = ""
    agreed: CheckboxField = False


class Body(BaseModel):
    """A JSON body as the API takes them."""

    model_config = ConfigDict(extra="forbid")

    count: int


KINDS = {
    "not-signed-in": NotSignedIn,
    "not-found": NotFound,
    "forbidden": Forbidden,
    "refused": Refused,
    "too-small": TooSmall,
    "limit-reached": LimitReached,
}


def build() -> FastAPI:
    app = FastAPI()
    errors.install(app)
    app.state.writes = []
    for router in (routes.router, refusing(), accepting(app.state.writes), failing()):
        app.include_router(router)
    static.install(app)
    middleware.install(app)
    return app


def refusing() -> APIRouter:
    router = APIRouter()

    @router.get("/raise/{kind}")
    @router.post("/raise/{kind}")
    @router.get("/partner/raise/{kind}")
    @router.get("/api/raise/{kind}")
    def refuse(kind: str) -> None:
        raise KINDS[kind]

    return router


def accepting(writes: list[str]) -> APIRouter:
    router = APIRouter()

    @router.post("/pay")
    def pay(form: Annotated[Payment, Form()]) -> dict[str, object]:
        writes.append("paid")
        return {"micro": form.amount.micro, "note": form.note, "agreed": form.agreed}

    @router.post("/api/count")
    def count(body: Body) -> dict[str, int]:
        writes.append("counted")
        return {"count": body.count}

    @router.get("/days")
    def days(days: Annotated[int, Query(ge=1, le=90)]) -> int:
        return days

    def move() -> Response:
        writes.append("moved")
        return see_other("/done")

    for path in ("/move", "/aff/postback", "/webhooks/stripe"):
        router.add_api_route(
            path, move, methods=["GET", "POST", "PUT", "DELETE"], include_in_schema=False
        )
    return router


def failing() -> APIRouter:
    router = APIRouter()

    @router.get("/crash")
    def crash() -> None:
        raise RuntimeError("a secret detail")

    @router.get("/nul")
    @router.get("/nul/{name}")
    def nul() -> None:
        raise DataError("INSERT", {}, ValueError("text fields cannot contain NUL (0x00) bytes"))

    @router.get("/overflow")
    def overflow() -> None:
        raise DataError("INSERT", {}, ValueError("integer out of range"))

    @router.get("/away")
    def away() -> None:
        raise OperationalError("SELECT 1", {}, ValueError("connection refused"))

    return router


@pytest.fixture
def browser() -> Iterator[TestClient]:
    """What a French reader's browser sends."""
    headers = {"accept": "text/html,*/*;q=0.8", "accept-language": "fr-FR,fr;q=0.9,en;q=0.7"}
    with TestClient(
        build(), headers=headers, follow_redirects=False, raise_server_exceptions=False
    ) as made:
        yield made


@pytest.fixture
def program() -> Iterator[TestClient]:
    """What a script sends."""
    headers = {"accept": "application/json", "accept-language": "en"}
    with TestClient(
        build(), headers=headers, follow_redirects=False, raise_server_exceptions=False
    ) as made:
        yield made


@pytest.fixture(scope="session")
def gallery() -> Iterator[str]:
    """The small application on a real port, for a real browser."""
    config = uvicorn.Config(build(), log_level="error", lifespan="off")
    server = uvicorn.Server(config)
    with socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # who comes before the server is up waits for it
        serving = Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        serving.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        server.should_exit = True
        serving.join(10)


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium",
            args=[
                "--no-sandbox",
                "--disable-gpu",
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
                "--no-first-run",
            ],
        )
        yield browser
        browser.close()
