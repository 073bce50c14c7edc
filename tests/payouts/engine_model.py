"""The earning engine in plain integers: what the pages and the docs promise, and nothing else."""

from dataclasses import dataclass, field
from datetime import date, timedelta

SHARE, RESERVE, DAYS = 6000, 3000, 30


def half_even(number: int, divisor: int) -> int:
    """`number / divisor`, halves to the even one."""
    low, rest = divmod(number, divisor)
    if rest * 2 == divisor:
        return low + low % 2
    return low + (rest * 2 > divisor)


@dataclass
class Rules:
    """What was agreed when a sale was reported."""

    share: int = SHARE
    reserve: int = RESERVE
    days: int = DAYS
    cap: int | None = None
    tiers: tuple[tuple[int, int], ...] = ()
    marginal: bool = False

    def owed(self, amount: int, volume: int) -> int:
        if not self.tiers:
            return half_even(amount * self.share, 10_000)
        if not self.marginal:
            reached = [rate for start, rate in self.tiers if start <= volume + amount]
            return half_even(amount * ([self.share, *reached][-1]), 10_000)
        weighed = 0
        edges = [(0, self.share), *self.tiers]
        for place, (low, rate) in enumerate(edges):
            high = edges[place + 1][0] if place + 1 < len(edges) else volume + amount
            weighed += max(min(volume + amount, high) - max(volume, low), 0) * rate
        return half_even(weighed, 10_000)


@dataclass
class Sale:
    """One conversion as the model believes it to be, in millionths."""

    rules: Rules
    month: tuple[int, int]
    gross: int = 0
    share: int = 0
    pending: int = 0
    volume: int | None = None
    lots: dict[date, int] = field(default_factory=dict)
    apart: int = 0
    apart_at_first: int = 0
    taken: dict[date, int] = field(default_factory=dict)
    disputed: bool = False


@dataclass
class Model:
    """One partner's money."""

    available: int = 0
    held: int = 0
    debt: int = 0
    withdrawing: int = 0
    on_hold: bool = False
    sales: list[Sale] = field(default_factory=list)

    @property
    def reserve(self) -> int:
        return sum(sum(sale.lots.values()) for sale in self.sales)

    @property
    def apart(self) -> int:
        return sum(sale.apart for sale in self.sales)

    def give(self, amount: int) -> None:
        repaid = min(amount, self.debt)
        self.debt -= repaid
        if self.on_hold:
            self.held += amount - repaid
        else:
            self.available += amount - repaid

    def take(self, amount: int) -> None:
        from_held = min(amount, self.held)
        from_available = min(amount - from_held, self.available)
        self.held -= from_held
        self.available -= from_available
        self.debt += amount - from_held - from_available

    def become(self, sale: Sale, status: str, amount: int, day: date) -> None:
        wanted = self._wanted(sale, status, amount)
        sale.pending = wanted if status == "pending" else 0
        if status != "approved":
            wanted, amount = 0, 0
        if wanted > sale.share:
            gained = wanted - sale.share
            kept = half_even(gained * sale.rules.reserve, 10_000)
            release_on = day + timedelta(days=sale.rules.days)
            sale.lots[release_on] = sale.lots.get(release_on, 0) + kept
            self.give(gained - kept)
        elif wanted < sale.share:
            self._claw_back(sale, sale.share - wanted)
        sale.share, sale.gross = wanted, amount
        if not wanted:
            sale.disputed = False

    def _wanted(self, sale: Sale, status: str, amount: int) -> int:
        if status not in {"pending", "approved"}:
            return 0
        others = [each for each in self.sales if each is not sale and each.month == sale.month]
        volume = sum(each.gross for each in others) if sale.volume is None else sale.volume
        if sale.rules.tiers and status == "approved":
            sale.volume = volume
        owed = sale.rules.owed(amount, volume)
        if sale.rules.cap is None or owed <= sale.share:
            return owed
        room = max(sale.rules.cap - sum(each.share for each in others), 0)
        return min(owed, max(sale.share, room))

    def _claw_back(self, sale: Sale, loss: int) -> None:
        apart = min(sale.apart, loss)
        sale.apart -= apart
        loss, whole = loss - apart, sale.share - apart
        if not loss:
            return
        part = half_even(sum(sale.lots.values()) * loss, whole)
        left = part
        for day in sorted(sale.lots, reverse=True):
            taken = min(left, sale.lots[day])
            sale.lots[day] -= taken
            left -= taken
        self.take(loss - part)

    def dispute(self, sale: Sale) -> None:
        reserved = sum(sale.lots.values())
        sale.taken, sale.lots = sale.lots, {}
        rest = min(sale.share - reserved, self.held + self.available)
        from_held = min(rest, self.held)
        self.held -= from_held
        self.available -= rest - from_held
        sale.apart, sale.disputed = reserved + rest, True
        sale.apart_at_first = sale.apart

    def win(self, sale: Sale, today: date) -> None:
        free, sale.apart, sale.disputed = sale.apart, 0, False
        left = half_even(sum(sale.taken.values()) * free, max(sale.apart_at_first, 1))
        for day in sorted(sale.taken):
            part = min(left, sale.taken[day])
            left -= part
            if day > today:
                sale.lots[day] = sale.lots.get(day, 0) + part
                free -= part
        self.give(free)

    def release(self, day: date) -> None:
        for sale in self.sales:
            due = [each for each in sale.lots if each <= day]
            self.give(sum(sale.lots.pop(each) for each in due))
