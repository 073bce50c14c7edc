"""What a sale or a click earns: which terms apply, and what they come to.

The most special word counts, field by field: what was agreed with the partner on this offer, with
the partner on all offers, with their group on this offer, with their group on all, with everybody
on this offer; then the offer's own version, then the policy. Share and tiers are one field. All of
it as it stood at the click (at the report, where no single click is known), and pinned then.

Tiers look at the month (UTC) that the sale happened in: what the partner sold of this offer in it
before, as far as it was confirmed when this sale first was. *Whole*: the highest tier that those
sales and this one reach together pays for all of this sale. *Marginal*: each tier pays for that
part of the sale which lies in it. Sales before a tier keep what they had.

A month's cap bounds what all sales of the offer bring the partner in a month. It is never a reason
to take back what was credited.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Self

from flowlink.kernel.money import FULL_BPS, Money


@dataclass(frozen=True, slots=True)
class Tier:
    """From this much sold in the month on, this share."""

    from_micro: int
    share_bps: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """All that decides about one earning. `origins` says of each field who said it.

    `months`: rebills later than that after the first sale of the same click earn nothing; 0 pays
    the first sale alone, None every one.
    """

    share_bps: int
    reserve_bps: int
    release_days: int
    cpc_micro: int | None = None
    cap_day_micro: int | None = None
    cap_month_micro: int | None = None
    months: int | None = None
    tiers: tuple[Tier, ...] = ()
    marginal: bool = False
    own_content: bool = False
    origins: Mapping[str, str]

    def body(self) -> dict[str, Any]:
        """As it is kept for good."""
        return asdict(self) | {"tiers": [asdict(tier) for tier in self.tiers]}

    @classmethod
    def read(cls, body: Mapping[str, Any]) -> Self:
        """The terms that `body` was made of."""
        tiers = tuple(Tier(**tier) for tier in body["tiers"])
        return cls(**{**body, "tiers": tiers})

    def owed(self, amount: Money, volume_micro: int) -> Money:
        """The share of a sale of `amount` after `volume_micro` was sold in its month, uncapped."""
        if not self.tiers:
            return amount.share(self.share_bps)
        if self.marginal:
            return self._marginal(amount, volume_micro)
        return amount.share(self.rate(volume_micro + amount.micro))

    def rate(self, reached_micro: int) -> int:
        """The share of a sale with which the month comes to so much, where tiers pay whole."""
        rates = [self.share_bps]
        rates += [tier.share_bps for tier in self.tiers if tier.from_micro <= reached_micro]
        return rates[-1]

    def _marginal(self, amount: Money, volume_micro: int) -> Money:
        """Each part at its tier's rate, rounded once: by tiers no millionth is won or lost."""
        bounds = [0, *(tier.from_micro for tier in self.tiers)]
        rates = [self.share_bps, *(tier.share_bps for tier in self.tiers)]
        until = volume_micro + amount.micro
        weighed = 0
        for place, (low, rate) in enumerate(zip(bounds, rates, strict=True)):
            high = bounds[place + 1] if place + 1 < len(bounds) else until
            part = min(until, high) - max(volume_micro, low)
            weighed += max(part, 0) * rate
        return Money(weighed, amount.currency).in_proportion(Money(1), Money(FULL_BPS))


def capped(owed: Money, *, credited: Money, room: Money | None) -> Money:
    """What may be credited of `owed` when `credited` is and the month has `room` for this sale."""
    if room is None or owed <= credited:
        return owed
    return min(owed, max(credited, room))


def month_of(moment: datetime) -> datetime:
    """The beginning of the month that caps and tiers count it to (UTC)."""
    return moment.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def months_later(moment: datetime, months: int) -> datetime:
    """The same day of the month and time that many months later, or the month's last day."""
    year, month = divmod(moment.month - 1 + months, 12)
    target = moment.replace(year=moment.year + year, month=month + 1, day=1)
    for day in range(moment.day, 27, -1):
        try:
            return target.replace(day=day)
        except ValueError:
            continue
    return target.replace(day=min(moment.day, 28))


def checked_tiers(tiers: Sequence[Tier]) -> bool:
    """Whether each tier begins above the one before, the first above zero, with a real share."""
    starts = [0, *(tier.from_micro for tier in tiers)]
    rising = all(one < after for one, after in pairwise(starts))
    return rising and all(0 <= tier.share_bps <= FULL_BPS for tier in tiers)
