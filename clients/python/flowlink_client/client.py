"""The way to a server: keys, JSON without floats, and refusals as exceptions."""

import json
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import httpx2

from flowlink_client.api import Admin, Partner, Resources

TIMEOUT_S = 30.0


class Refused(Exception):
    """The server's answer was no success: what its problem says (RFC 9457)."""

    def __init__(self, status: int, problem: Mapping[str, Any], retry_after_s: int | None) -> None:
        super().__init__(problem.get("detail") or f"status {status}")
        self.status = status
        self.kind = str(problem.get("type", "")).rpartition(":")[2]
        self.detail = str(problem.get("detail", ""))
        self.errors: list[dict[str, Any]] = list(problem.get("errors", []))
        self.retry_after_s = retry_after_s


class Flowlink:
    """One installation, as the owner of one key. Methods raise `Refused`, and httpx2's errors
    when the server cannot be reached: a purchase with the same idempotency key may then be sent
    again. `lang` is the language of what refusals say.
    """

    def __init__(
        self, base_url: str, *, key: str, lang: str = "en", http: httpx2.Client | None = None
    ) -> None:
        self._base_url = base_url.rstrip("/")
        self._key = key
        self._lang = lang
        self._http = http or httpx2.Client(timeout=TIMEOUT_S)
        self.resources = Resources(self.call)
        self.partner = Partner(self.call)
        self.admin = Admin(self.call)

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Mapping[str, object] | None = None,
        body: object = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> Any:
        """What the server answers, as JSON; None where it answers nothing."""
        sent = {"authorization": f"Bearer {self._key}", "accept": "application/json"}
        sent["accept-language"] = self._lang
        sent |= {name: value for name, value in (headers or {}).items() if value is not None}
        content = None
        if body is not None:
            sent["content-type"] = "application/json"
            content = json.dumps(body, default=str).encode()
        asked = {name: str(value) for name, value in (query or {}).items() if value is not None}
        answer = self._http.request(
            method, self._base_url + path, params=asked, content=content, headers=sent
        )
        if not answer.is_success:
            raise _refused(answer)
        return json.loads(answer.text, parse_float=Decimal) if answer.content else None


def _refused(answer: httpx2.Response) -> Refused:
    later = answer.headers.get("retry-after", "")
    try:
        told = answer.json()
    except ValueError:
        told = {}
    problem = told if isinstance(told, dict) else {}
    return Refused(answer.status_code, problem, int(later) if later.isdecimal() else None)
