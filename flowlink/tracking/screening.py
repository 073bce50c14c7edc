"""Who clicked: a person, or a machine whose click is kept but never paid.

Bots are known by the lists of the library crawlerdetect, prefetches by their own headers.
"""

import re
from functools import cache, lru_cache

from crawlerdetect import providers  # type: ignore[import-untyped]

from flowlink.tracking.models import Reason

AGENT_LENGTH = 400
_PURPOSES = ("prefetch", "prerender", "preview", "instant")
# It opens one of the patterns, says nothing about whether that one is found, and makes the search
# quadratic: 14 ms for 400 letters without it being a bot.
_GREEDY = r"[a-z0-9\-_]*"


@cache
def _patterns() -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What browsers and bots have in common, which goes first; and what only bots have."""
    bots = "|".join(pattern.removeprefix(_GREEDY) for pattern in providers.crawlers.data)
    return re.compile("|".join(providers.exclusions.data), re.I), re.compile(bots, re.I)


@lru_cache(maxsize=20_000)
def is_bot(agent: str) -> bool:
    """Whether this user agent (cut to `AGENT_LENGTH`) is a machine's. None at all is one, too."""
    if not agent:
        return True
    common, bots = _patterns()
    return bots.search(common.sub("", agent)) is not None


def screen(*, method: str, agent: str, purpose: str) -> Reason:
    """Why this click does not count, as far as its own request tells."""
    if method == "HEAD":
        return Reason.HEAD
    if purpose and any(word in purpose.lower() for word in _PURPOSES):
        return Reason.PREFETCH
    return Reason.BOT if is_bot(agent) else Reason.VALID


def warm_up() -> None:
    """Compile the patterns now, which takes longer than a visitor should wait."""
    _patterns()
