"""What routes of the resources' API share: a limit on how often, told in headers."""

from typing import Annotated, Any

from fastapi import Depends, Header, Request, Response

from flowlink.identity.deps import ClientIp, MaybeViewer
from flowlink.identity.queries import Principal
from flowlink.kernel import clock, crypto, limits

PER_MINUTE = 600
_WINDOW_S = 60


def count_call(
    request: Request, response: Response, viewer: MaybeViewer, ip: ClientIp, team_slug: str
) -> None:
    """Count a call of this caller for this team; the answer says how many are left, refusals too.

    Before the request's own transaction, since that of a GET could not keep the count.

    :raises LimitReached: too many in this minute.
    """
    machine = request.state.machine
    if isinstance(machine, Principal):
        who = str(machine.key_id)
    else:
        who = str(viewer.user_id) if viewer else ip
    now = clock.now()
    key = crypto.keyed_hash("limit", team_slug, who).hex()
    told = {
        "ratelimit-limit": str(PER_MINUTE),
        "ratelimit-remaining": "0",
        "ratelimit-reset": str(_WINDOW_S - int(now.timestamp()) % _WINDOW_S),
    }
    request.state.answer_headers = told
    told["ratelimit-remaining"] = str(limits.hit(f"api:{key}", PER_MINUTE, _WINDOW_S, now))
    response.headers.update(told)


Counted = Depends(count_call)
_NUMBER = {"schema": {"type": "integer"}}
TOO_MANY: dict[int | str, dict[str, Any]] = {
    429: {
        "description": f"More than {PER_MINUTE} calls of one caller for one team in a minute",
        "headers": {
            "retry-after": {"description": "Seconds to wait", **_NUMBER},
            "ratelimit-limit": {"description": "Calls a minute; on every answer", **_NUMBER},
            "ratelimit-remaining": {"description": "Calls left; on every answer", **_NUMBER},
            "ratelimit-reset": {"description": "Seconds to the next minute", **_NUMBER},
        },
        "content": {
            "application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}
        },
    }
}
IdempotencyKey = Annotated[
    str | None,
    Header(
        alias="Idempotency-Key",
        max_length=200,
        description="The same key again is the same purchase.",
    ),
]
