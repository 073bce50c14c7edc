"""What kind of device a user agent speaks of: a coarse rule, on purpose.

Browsers say less and less of themselves; a kind is what can still be told. The order of the
rules is what counts: a television says Android, a tablet without "Mobile" does too.
"""

import re
from enum import IntEnum
from functools import lru_cache

from flowlink.tracking import screening


class Device(IntEnum):
    """A kind of device, as the number under which it is kept."""

    OTHER = 0
    DESKTOP = 1
    PHONE = 2
    TABLET = 3
    TELEVISION = 4
    BOT = 5


TARGETABLE = (Device.DESKTOP, Device.PHONE, Device.TABLET, Device.TELEVISION)

_RULES = (
    (
        Device.TELEVISION,
        re.compile(
            r"smart-?tv|googletv|apple ?tv|tizen.*tv|web0s|webos|hbbtv|netcast|viera|bravia|roku"
            r"|crkey|aft[a-z]{1,3}\b|playstation|xbox|nintendo",
            re.I,
        ),
    ),
    (
        Device.TABLET,
        re.compile(r"ipad|tablet|kindle|silk/(?!.*mobile)|playbook|android(?!.*mobile)", re.I),
    ),
    (
        Device.PHONE,
        re.compile(r"iphone|ipod|mobi|phone|blackberry|opera mini|symbian|kaios", re.I),
    ),
    (Device.DESKTOP, re.compile(r"windows nt|macintosh|x11|cros |linux", re.I)),
)


@lru_cache(maxsize=20_000)
def device(agent: str) -> Device:
    """The kind of device; bots are a kind of their own, the rest is `OTHER`."""
    if screening.is_bot(agent):
        return Device.BOT
    return next((kind for kind, rule in _RULES if rule.search(agent)), Device.OTHER)


def named(word: str) -> Device | None:
    """The kind of this name that a link can aim at."""
    return next((kind for kind in TARGETABLE if kind.name.lower() == word.lower()), None)
