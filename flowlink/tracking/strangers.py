"""A bound on what strangers make us keep: all are answered, but not all are written down."""

from collections import Counter
from datetime import datetime

from flowlink.kernel import logs

OF_ONE_ADDRESS = 60
OF_ALL = 600


class Strangers:
    """How many postbacks of strangers a process keeps in a minute, from one address and from all.

    Guessing a key or a name must not fill the disk. Memory is bounded too: whoever comes after
    the last one that is kept is not remembered.
    """

    def __init__(self) -> None:
        self._minute = 0
        self._kept: Counter[str] = Counter()
        self._dropped = 0

    def admit(self, address: str, *, now: datetime) -> bool:
        """Whether one more from this address is kept in this minute."""
        minute = int(now.timestamp()) // 60
        if minute != self._minute:
            self._begin(minute)
        if self._kept.total() >= OF_ALL or self._kept[address] >= OF_ONE_ADDRESS:
            self._dropped += 1
            return False
        self._kept[address] += 1
        return True

    def _begin(self, minute: int) -> None:
        if self._dropped:
            logs.get().warning("postbacks of strangers not kept", count=self._dropped)
        self._minute, self._kept, self._dropped = minute, Counter(), 0
