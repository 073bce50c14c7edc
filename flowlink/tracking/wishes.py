"""What a partner can wish of a link: an end, tags, a note, other destinations."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from flowlink.kernel import settings
from flowlink.kernel.errors import Invalid
from flowlink.tracking import destinations, offers, routing
from flowlink.tracking.models import Offer
from flowlink.tracking.routing import NOWHERE_ELSE, Routing

NOTE_MAX = 500
TAGS_MAX = 10
_TAG = re.compile(r"[\w.+-](?:[\w .+-]{0,28}[\w.+-])?")


class BadNote(Invalid):
    message = "A note has up to 500 letters."
    field = "note"


class BadTag(Invalid):
    message = "A link has up to 10 tags of up to 30 letters, digits, spaces or hyphens."
    field = "tags"


class BadExpiry(Invalid):
    message = "The end of a link has to lie ahead."
    field = "expires_at"


@dataclass(frozen=True, slots=True)
class Wishes:
    """Everything about a link that can be changed later."""

    destination: str | None = None
    expires_at: datetime | None = None
    note: str = ""
    tags: Sequence[str] = ()
    routing: Routing = NOWHERE_ELSE


def columns(
    wishes: Wishes, *, offer: Offer, now: datetime, expired: datetime | None = None
) -> dict[str, Any]:
    """The wishes as a link keeps them. `expired`: an end in the past that may stay.

    :raises destinations.BadDestination: :raises destinations.HostNotAllowed: :raises BadNote:
    :raises BadTag: :raises BadExpiry: :raises routing.BadTarget: :raises routing.BadWeight:
    :raises routing.TooManyTargets:
    """
    base_url = settings.current().url
    allowed = offers.allowed_hosts(offer, base_url=base_url)
    destination = wishes.destination
    if destination is not None:
        destination = destinations.cleaned(destination, base_url=base_url)
        destinations.check_host(destination, allowed=allowed, base_url=base_url)
    if wishes.expires_at is not None and now >= wishes.expires_at != expired:
        raise BadExpiry
    note = wishes.note.strip()
    if len(note) > NOTE_MAX or "\x00" in note:
        raise BadNote
    checked = routing.checked(wishes.routing, allowed=allowed, base_url=base_url)
    return {
        "destination": destination,
        "expires_at": wishes.expires_at,
        "note": note,
        "tags": tags(wishes.tags),
        "routing": routing.kept(checked),
    }


def tags(words: Sequence[str]) -> list[str]:
    """Tags in small letters, each once, in their order.

    :raises BadTag:
    """
    plain = list(dict.fromkeys(word.strip().lower() for word in words if word.strip()))
    if len(plain) > TAGS_MAX or not all(_TAG.fullmatch(word) for word in plain):
        raise BadTag
    return plain


def split_tags(text: str) -> list[str]:
    """Tags as a person types them: with commas or semicolons between."""
    return [word for word in re.split(r"[,;|]", text) if word.strip()]
