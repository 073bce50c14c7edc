"""Signing in, as a browser does it."""

import re

from fastapi.testclient import TestClient
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel import db

ENGLISH = {"accept-language": "en"}
CHANGING = re.compile(r"req_\w+|nonce-[\w-]+|nonce=\"[\w-]+\"|inlineScriptNonce\":\"[\w-]+")


def ask(client: TestClient, email: str, path: str = "/login", **headers: str) -> tuple[int, str]:
    answer = client.post(path, data={"email": email}, headers=ENGLISH | headers)
    return answer.status_code, CHANGING.sub("", answer.text)


def count(session: Session, model: type[db.Base]) -> int:
    return session.scalars(select(func.count()).select_from(model)).one()


def use(client: TestClient, link: str) -> tuple[int, str]:
    answer = client.post(link, follow_redirects=False, headers=ENGLISH)
    return answer.status_code, answer.headers.get("location", "")


def is_signed_in(client: TestClient) -> bool:
    return client.get("/account").status_code == 200
