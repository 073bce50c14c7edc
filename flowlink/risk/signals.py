"""Signals: what looks wrong about clicks that have something in common, and how much so.

Each signal gives points. One alone is never enough; `WATCH` points of several are. The numbers
come from how people and machines differ: people come from many networks with many devices, at
irregular moments, mostly from somewhere, and some of them buy.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from math import log2, sqrt
from statistics import fmean

from flowlink.risk.traffic import Seen, Traffic
from flowlink.risk.watch_models import Rule
from flowlink.tracking import origins
from flowlink.tracking.models import Reason

FEWEST = 40  # valid clicks: of fewer nothing can be said
WATCH = 60
QUICK_S = 10.0


@dataclass(frozen=True)
class Group:
    """Clicks that have `rule` in common; `clicks` count, `others` are its bots and duplicates."""

    rule: Rule
    clicks: Sequence[Seen]
    others: Sequence[Seen]
    traffic: Traffic


@dataclass(frozen=True)
class Signal:
    """One observation: its points, and the figure that it rests on."""

    name: str
    points: int
    figure: str


@dataclass
class Finding:
    """A group with what was observed of it."""

    group: Group
    signals: list[Signal] = field(default_factory=list)

    @property
    def score(self) -> int:
        return sum(signal.points for signal in self.signals)


def observe(group: Group) -> Finding:
    """All signals of a group."""
    if group.rule is Rule.OWN:
        near = f"{len(group.clicks)} clicks from where the partner signs in"
        return Finding(group, [Signal("own_network", WATCH + 10, near)])
    found = [signal for each in _SIGNALS for signal in each(group)]
    return Finding(group, found)


def _networks(group: Group) -> Iterator[Signal]:
    """Many clicks out of few neighborhoods."""
    known = [click for click in group.clicks if origins.is_known(click.origin)]
    if len(known) < FEWEST:
        return
    networks = len({origins.network(click.origin) for click in known})
    share = networks / len(known)
    figure = f"{len(known)} clicks from {networks} networks"
    if share <= 0.05 or networks <= 2:
        yield Signal("networks", 35, figure)
    elif share <= 0.12:
        yield Signal("networks", 30, figure)
    elif share <= 0.25:
        yield Signal("networks", 20, figure)
    elif share <= 0.4:
        yield Signal("networks", 10, figure)


def _datacenter(group: Group) -> Iterator[Signal]:
    """Machines in data centers rarely are people."""
    known = [click for click in group.clicks if origins.is_known(click.origin)]
    hosted = sum(origins.from_datacenter(click.origin) for click in known)
    if not known or hosted < FEWEST:
        return
    figure = f"{hosted} of {len(known)} clicks from data centers"
    if hosted / len(known) >= 0.5:
        yield Signal("datacenter", 35, figure)
    elif hosted / len(known) >= 0.2:
        yield Signal("datacenter", 20, figure)


def _agents(group: Group) -> Iterator[Signal]:
    """So few kinds of browsers that they cannot be an audience."""
    number = len(group.clicks)
    if group.rule is Rule.AGENT:
        every = sum(click.counts for click in group.traffic.clicks)
        if number * 3 >= every:
            yield Signal("agents", 25, f"one browser in {number} of {every} clicks")
        return
    kinds = _effective(click.agent for click in group.clicks)
    figure = f"{number} clicks, as varied as {kinds:.1f} browsers"
    few = sqrt(number)
    if kinds <= min(few / 2, 8) and number >= 150:
        yield Signal("agents", 40, figure)
    elif kinds <= min(few / 2, 16):
        yield Signal("agents", 30, figure)
    elif kinds <= min(few, 25):
        yield Signal("agents", 20, figure)


def _faces(group: Group) -> Iterator[Signal]:
    """One address that appears as many visitors by changing its browser."""
    addresses = len({click.address for click in group.clicks})
    figure = f"{len(group.clicks)} visitors behind {addresses} addresses"
    if addresses * 4 <= len(group.clicks):
        yield Signal("faces", 20, figure)
    elif addresses * 3 <= len(group.clicks) * 2:
        yield Signal("faces", 10, figure)


def _referrers(group: Group) -> Iterator[Signal]:
    """From nowhere, where people come from somewhere."""
    known = group.traffic
    bare = _bare(group.clicks, known.bare)
    if group.rule in (Rule.AGENT, Rule.REFERRER):  # they have it in common: look at everything
        bare = min(bare, _bare([click for click in known.clicks if click.counts], known.bare))
    past = known.past.get(group.clicks[0].link)
    if bare >= 0.9 and past is not None and past.clicks >= FEWEST and past.bare < 0.6:
        yield Signal("referrers", 20, f"{bare:.0%} without a referrer, before {past.bare:.0%}")
    elif bare >= 0.95:
        yield Signal("referrers", 20, f"{bare:.0%} without a referrer")


def _rhythm(group: Group) -> Iterator[Signal]:
    """As regular as a clock, or as even as no day is."""
    moments = [click.at.timestamp() for click in group.clicks]
    gaps = [after - before for before, after in pairwise(moments)]
    middle = fmean(gaps)
    if middle <= 0:
        return
    swing = sqrt(fmean((gap - middle) ** 2 for gap in gaps)) / middle
    figure = f"gaps vary by {swing:.0%}"
    if swing <= 0.35:
        yield Signal("rhythm", 35, figure)
    elif swing <= 0.6:
        yield Signal("rhythm", 25, figure)


def _sales(group: Group) -> Iterator[Signal]:
    """No sale where there should be several, or far too many."""
    expected = sum(group.traffic.rates.get(click.link, 0.0) for click in group.clicks)
    sold = sum(click.number in group.traffic.seconds for click in group.clicks)
    figure = f"{sold} sales, usually {expected:.1f}"
    if sold == 0 and expected >= 15:
        yield Signal("sales", 45, figure)
    elif (
        (sold == 0 and expected >= 5)
        or (sold * 6 < expected and expected >= 20)
        or (sold >= 5 and 0 < 8 * expected < sold)
    ):
        yield Signal("sales", 25, figure)
    elif sold == 0 and expected >= 3:
        yield Signal("sales", 20, figure)


def _haste(group: Group) -> Iterator[Signal]:
    """Sales within seconds of the click: nobody fills in an order that fast."""
    times = [group.traffic.seconds.get(click.number) for click in group.clicks]
    known = [seconds for seconds in times if seconds is not None]
    quick = sum(seconds < QUICK_S for seconds in known)
    if quick >= 3 and quick * 3 >= len(known):
        yield Signal("haste", 30, f"{quick} of {len(known)} sales within {QUICK_S:.0f} s")


def _machines(group: Group) -> Iterator[Signal]:
    """Among declared bots and repeated visits."""
    machines = sum(click.reason in (Reason.BOT, Reason.DUPLICATE) for click in group.others)
    every = len(group.clicks) + machines
    if machines * 2 >= every:
        yield Signal("machines", 15, f"{machines} of {every} are bots or repeated")


def _paid_search(group: Group) -> Iterator[Signal]:
    """Bought from a search engine's or network's advertising."""
    paid = sum(origins.from_paid_search(click.origin) for click in group.clicks)
    if paid >= 10 and paid * 10 >= len(group.clicks) * 3:
        yield Signal("paid_search", 20, f"{paid} clicks out of paid advertising")


_SIGNALS = (
    _networks,
    _datacenter,
    _agents,
    _faces,
    _referrers,
    _rhythm,
    _sales,
    _haste,
    _machines,
    _paid_search,
)
NAMES = ("own_network", *(each.__name__.removeprefix("_") for each in _SIGNALS), "shared_account")


def _bare(clicks: Sequence[Seen], bare: int) -> float:
    return sum(click.referrer == bare for click in clicks) / len(clicks)


def _effective(words: Iterator[int]) -> float:
    """Two to the power of the entropy: among how many equally frequent ones it is as varied."""
    counted = Counter(words)
    whole = sum(counted.values())
    if not whole:
        return 0.0
    return float(2 ** -sum(n / whole * log2(n / whole) for n in counted.values()))
