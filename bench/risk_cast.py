"""Who plays in the simulation: honest partners of all sizes, one who goes viral, and cheats."""

from datetime import timedelta

from bench.risk_world import (
    Player,
    World,
    audience,
    burst,
    drip,
    farm,
    lines,
    self_clicks,
)

HOSTS = ("www.youtube.com", "www.tiktok.com", "l.instagram.com", "t.co", "blog.example.net")
ATTACKED = "honest-3"


def players(world: World, *, small: bool = False) -> list[Player]:
    """The cast. A small one has every kind once, with fewer visits."""
    honest = _honest(4 if small else 14, 1)
    return [*honest, _viral(9 if small else 22), *_farms(world, small=small), *_quiet(world)]


def _honest(count: int, links: int) -> list[Player]:
    found = []
    for n in range(count):
        host = HOSTS[n % len(HOSTS)]
        per_day = (25, 900, 120, 420, 60, 1500, 250)[n % 7]
        make = audience(
            per_day,
            host=host,
            bare=0.25 + 0.06 * (n % 6),
            rate=0.012 + 0.003 * (n % 5),
            app="musical_ly" if "tiktok" in host else "",
        )
        name = f"honest-{n}"
        found.append(
            Player(name, "normal", [f"{name}-{k}" for k in range(links + n % 3)], make=make)
        )
    return found


def _viral(peak: float) -> Player:
    """Small until the afternoon of the second day."""
    made = Player(
        "viral",
        "viral",
        ["viral-0", "viral-1"],
        make=audience(90, host="www.tiktok.com", bare=0.35, rate=0.012, app="musical_ly"),
    )
    made.also.append(
        burst(
            peak,
            begins=timedelta(days=1, hours=16),
            host="www.tiktok.com",
            app="musical_ly",
            rate=0.007,
        )
    )
    return made


def _farms(world: World, *, small: bool) -> list[Player]:
    scale = 0.4 if small else 1
    rented = Player(
        "farm-rented",
        "bot farm",
        [f"rented-{n}" for n in range(6)],
        make=farm(
            9 * scale,
            hours=(9, 10, 14, 15, 21),
            addresses=lines(world, 120, 8, hosted=True),
            agents=[world.agent() for _ in range(8)],
        ),
    )
    homes = Player(
        "farm-homes",
        "proxy farm",
        [f"homes-{n}" for n in range(4)],
        make=farm(
            3 * scale,
            hours=range(8, 23),
            addresses=lines(world, 900, 500),
            agents=[world.agent() for _ in range(6)],
        ),
    )
    phones = Player(
        "farm-phones",
        "phone farm",
        [f"phones-{n}" for n in range(4)],
        make=farm(
            3.5 * scale,
            hours=range(7, 19),
            addresses=lines(world, 200, 3),
            agents=[world.agent("musical_ly") for _ in range(5)],
            hosts=("www.tiktok.com",),
            even=True,
        ),
    )
    wide = Player(
        "farm-wide",
        "wide farm",
        [f"wide-{n}" for n in range(4)],
        make=farm(
            1.5 * scale,
            hours=range(7, 24),
            addresses=lines(world, 900, 700),
            agents=[world.agent() for _ in range(14)],
        ),
    )
    return [rented, homes, phones, wide, _attacked(world, scale)]


def _attacked(world: World, scale: float) -> Player:
    """An honest partner whom a competitor sends machines."""
    attack = farm(
        12 * scale,
        hours=(13, 14, 15),
        days=range(1, 2),
        addresses=lines(world, 300, 20, hosted=True),
        agents=[world.agent() for _ in range(10)],
    )
    attacked = Player(
        "honest-attacked",
        "attack",
        ["attacked-0"],
        make=audience(260, host="www.youtube.com", bare=0.3, rate=0.02),
    )
    attacked.also.append(attack)
    return attacked


def _quiet(world: World) -> list[Player]:
    slow = Player(
        "drip",
        "slow drip",
        [f"drip-{n}" for n in range(4)],
        make=drip(600, addresses=lines(world, 14, 4), agents=[world.agent() for _ in range(3)]),
    )
    own = Player(
        "own",
        "self-clicks",
        ["own-0", "own-1"],
        home="82.66.41.17",
        make=self_clicks(18, [world.agent() for _ in range(4)]),
    )
    own.also.append(audience(15, host="l.instagram.com", bare=0.4, rate=0.02))
    return [slow, own]
