"""Simulated traffic whose truth is known: honest audiences, and five ways of cheating.

Everything comes from one seeded random generator. Addresses are public ones of invented lines;
browsers are written as browsers write themselves. Nothing here knows how risk decides.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import cos, exp, pi
from random import Random

SLOT = timedelta(minutes=10)
PHONES = (
    "iPhone",
    "SM-S921B",
    "SM-A546B",
    "SM-G991B",
    "Pixel 8",
    "Pixel 7a",
    "2201117TY",
    "CPH2609",
    "M2101K6G",
    "22101316G",
    "SM-A145R",
    "SM-S911B",
    "moto g54",
    "RMX3710",
)
IOS = ("17_4", "17_5_1", "17_6_1", "18_0", "18_0_1", "18_1", "16_7_10", "18_2")
CHROMES = ("126", "127", "128", "129", "130", "131", "132")
ANDROIDS = ("11", "12", "13", "14", "15")
HOSTED = ("5.9", "46.4", "51.15", "88.198", "139.59", "144.76", "159.65", "167.99", "178.62")


@dataclass(frozen=True, slots=True)
class Act:
    """One visit: who it is from and whether it is fraud, which nobody else gets to know."""

    at: datetime
    link: str
    address: str
    agent: str
    referrer: str
    fraud: bool
    sale_after_s: int | None = None


@dataclass
class Player:
    """A partner of the simulation; `home` is where they sign in, where that plays a part."""

    name: str
    kind: str
    links: list[str]
    home: str = ""
    make: Callable[["World", "Player", datetime], Iterator[Act]] | None = None
    also: list[Callable[["World", "Player", datetime], Iterator[Act]]] = field(default_factory=list)


class World:
    """The random source, and the lines that people have."""

    def __init__(self, seed: int, start: datetime) -> None:
        self.random = Random(seed)  # noqa: S311  (a simulation)
        self.start = start
        self.carriers = [self._net() for _ in range(160)]

    def _net(self) -> str:
        first = self.random.choice((31, 62, 77, 80, 82, 84, 86, 90, 92, 93, 109, 176, 185, 212))
        return f"{first}.{self.random.randrange(256)}.{self.random.randrange(256)}"

    def address(self) -> str:
        """Somebody's: a home, a carrier's shared one, now and then a relay in a data center."""
        draw = self.random.random()
        if draw < 0.012:
            return self.hosted()
        if draw < 0.38:
            place = min(int(self.random.expovariate(1 / 40)), len(self.carriers) - 1)
            return f"{self.carriers[place]}.{self.random.randrange(1, 255)}"
        return f"{self._net()}.{self.random.randrange(1, 255)}"

    def hosted(self) -> str:
        net = self.random.choice(HOSTED)
        return f"{net}.{self.random.randrange(256)}.{self.random.randrange(1, 255)}"

    def agent(self, inside: str = "") -> str:
        """A browser, two of three on a phone; `inside` an app it names the app, too."""
        app = (
            f" {inside}_{self.random.choice(CHROMES)}.{self.random.randrange(9)}" if inside else ""
        )
        if self.random.random() < (0.97 if inside else 0.66):
            return self._phone() + app
        system = self.random.choice(
            (
                "Windows NT 10.0; Win64; x64",
                "Macintosh; Intel Mac OS X 10_15_7",
                "X11; Linux x86_64",
            )
        )
        version = self.random.choice(CHROMES)
        if self.random.random() < 0.2:
            return f"Mozilla/5.0 ({system}; rv:{version}.0) Gecko/20100101 Firefox/{version}.0"
        return (
            f"Mozilla/5.0 ({system}) AppleWebKit/537.36 (KHTML, like Gecko) "
            f"Chrome/{version}.0.0.0 Safari/537.36"
        )

    def _phone(self) -> str:
        model = self.random.choices(PHONES, [9, *([1] * (len(PHONES) - 1))])[0]
        if model == "iPhone":
            version = self.random.choice(IOS)
            return (
                f"Mozilla/5.0 (iPhone; CPU iPhone OS {version} like Mac OS X) "
                f"AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{version[:2]}.0 "
                "Mobile/15E148 Safari/604.1"
            )
        android, version = self.random.choice(ANDROIDS), self.random.choice(CHROMES)
        return (
            f"Mozilla/5.0 (Linux; Android {android}; {model}) AppleWebKit/537.36 (KHTML, like "
            f"Gecko) Chrome/{version}.0.0.0 Mobile Safari/537.36"
        )

    def moments(self, begin: datetime, mean: float) -> Iterator[datetime]:
        """Moments of a slot at random, so many on average."""
        at = 0.0
        while mean > 0:
            at += self.random.expovariate(mean / SLOT.total_seconds())
            if at >= SLOT.total_seconds():
                return
            yield begin + timedelta(seconds=at)


def daylight(at: datetime) -> float:
    """How awake an audience is: 1 on average over a day, little at night."""
    return 1 - 0.85 * cos((at.hour + at.minute / 60 - 3.5) * pi / 12)


def audience(
    per_day: float, *, host: str, bare: float, rate: float, app: str = ""
) -> Callable[[World, Player, datetime], Iterator[Act]]:
    """People who follow a partner: `bare` of them come without a referrer, `rate` buy."""

    def visits(world: World, player: Player, slot: datetime) -> Iterator[Act]:
        for at in world.moments(slot, per_day / 144 * daylight(slot)):
            yield _person(world, player, at, host=host, bare=bare, rate=rate, app=app)

    return visits


def burst(
    peak_per_minute: float, *, begins: timedelta, host: str, app: str, rate: float
) -> Callable[[World, Player, datetime], Iterator[Act]]:
    """A post goes viral: fast to its peak, then half as many every four hours."""

    def visits(world: World, player: Player, slot: datetime) -> Iterator[Act]:
        hours = (slot - world.start - begins).total_seconds() / 3600
        if not 0 <= hours < 36:
            return
        mean = peak_per_minute * 10 * min(hours * 2, 1) * exp(-0.173 * hours)
        for at in world.moments(slot, mean):
            yield _person(world, player, at, host=host, bare=0.35, rate=rate, app=app)

    return visits


def farm(
    per_minute: float,
    *,
    hours: Sequence[int],
    addresses: Sequence[str],
    agents: Sequence[str],
    hosts: Sequence[str] = ("",),
    even: bool = False,
    days: range = range(99),
) -> Callable[[World, Player, datetime], Iterator[Act]]:
    """A program that works through its addresses and browsers at some hours of each day."""

    def visits(world: World, player: Player, slot: datetime) -> Iterator[Act]:
        if slot.hour not in hours or (slot - world.start).days not in days:
            return
        count = per_minute * 10
        if even:
            gap = SLOT.total_seconds() / count
            moments = [
                slot + timedelta(seconds=gap * (n + world.random.uniform(0.3, 0.7)))
                for n in range(int(count))
            ]
        else:
            moments = list(world.moments(slot, count))
        for at in moments:
            pick = world.random.choice
            yield Act(
                at, pick(player.links), pick(addresses), pick(agents), pick(hosts), fraud=True
            )

    return visits


def drip(
    gap_s: float, *, addresses: Sequence[str], agents: Sequence[str]
) -> Callable[[World, Player, datetime], Iterator[Act]]:
    """A click every few minutes, day and night, from a handful of lines."""

    def visits(world: World, player: Player, slot: datetime) -> Iterator[Act]:
        offset = (slot - world.start).total_seconds() % gap_s
        at = slot + timedelta(seconds=(gap_s - offset) % gap_s)
        while at < slot + SLOT:
            jitter = timedelta(seconds=world.random.uniform(0, gap_s * 0.15))
            pick = world.random.choice
            yield Act(
                at + jitter, pick(player.links), pick(addresses), pick(agents), "", fraud=True
            )
            at += timedelta(seconds=gap_s)

    return visits


def self_clicks(
    per_day: float, agents: Sequence[str]
) -> Callable[[World, Player, datetime], Iterator[Act]]:
    """The partner's own devices at home; one of five from a carrier's network."""

    def visits(world: World, player: Player, slot: datetime) -> Iterator[Act]:
        for at in world.moments(slot, per_day / 144 * daylight(slot)):
            pick = world.random.choice
            away = world.random.random() < 0.2
            where = f"{world.carriers[7]}.{world.random.randrange(9)}" if away else player.home
            yield Act(at, pick(player.links), where, pick(agents), "", fraud=True)

    return visits


def lines(world: World, count: int, networks: int, *, hosted: bool = False) -> list[str]:
    """So many addresses in so many neighborhoods."""
    nets = [
        world.hosted().rsplit(".", 1)[0] if hosted else world.address().rsplit(".", 1)[0]
        for _ in range(networks)
    ]
    return [f"{world.random.choice(nets)}.{world.random.randrange(1, 255)}" for _ in range(count)]


def _person(
    world: World, player: Player, at: datetime, *, host: str, bare: float, rate: float, app: str
) -> Act:
    from_app = app if world.random.random() < 0.6 else ""
    buys = world.random.random() < rate
    return Act(
        at=at,
        link=world.random.choice(player.links),
        address=world.address(),
        agent=world.agent(from_app),
        referrer="" if world.random.random() < bare else host,
        fraud=False,
        sale_after_s=int(90 + world.random.expovariate(1 / 7200)) if buys else None,
    )
