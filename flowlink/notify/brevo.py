"""Mail through Brevo's transactional API (POST /v3/smtp/email)."""

from collections.abc import Mapping
from typing import Any

import httpx2

from flowlink.notify.transport import Hopeless, Outgoing, TryAgain

TIMEOUT_S = 20
# What is wrong with our account or with Brevo, not with this mail: worth another try.
_TRY_AGAIN = {401, 402, 403, 408, 425, 429}


class Brevo:
    """Brevo answers 201 with `messageId`, else `{"code", "message"}`.

    The idempotency key lets Brevo drop a second copy that comes within half an hour, for the
    case that we die between its answer and our commit.
    """

    name = "brevo"

    def __init__(self, *, api_key: str, url: str) -> None:
        self._api_key = api_key
        self._url = f"{url.rstrip('/')}/v3/smtp/email"

    def deliver(self, mail: Outgoing) -> str:
        try:
            answer = httpx2.post(
                self._url,
                json=payload_of(mail),
                headers={"api-key": self._api_key, "accept": "application/json"},
                timeout=TIMEOUT_S,
            )
        except httpx2.HTTPError as error:
            raise TryAgain(f"Brevo cannot be reached: {error}") from error
        body = _json(answer)
        if answer.status_code in {201, 202}:
            return str(body.get("messageId", mail.message_id))
        if body.get("code") == "duplicate_request":
            return mail.message_id
        reason = f"Brevo: {answer.status_code} {body.get('code', '')} {body.get('message', '')}"
        if answer.status_code in _TRY_AGAIN or answer.status_code >= 500:
            raise TryAgain(reason)
        raise Hopeless(reason)


def payload_of(mail: Outgoing) -> dict[str, Any]:
    """The mail as Brevo's reference of `sendTransacEmail` has it."""
    return {
        "sender": {"name": mail.sender_name, "email": mail.sender},
        "to": [{"email": mail.to}],
        "subject": mail.content.subject,
        "htmlContent": mail.content.html,
        "textContent": mail.content.text,
        "headers": {"idempotencyKey": str(mail.key), "Auto-Submitted": "auto-generated"},
    }


def _json(answer: httpx2.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
