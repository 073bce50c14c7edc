"""Fraud and honest traffic with known truth, through the real code: what is caught, what waits.

Run: python -m bench.risk [DAYS]
"""

import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlencode

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from bench import risk_cast as cast
from bench.report import table
from bench.risk_world import SLOT, Act, Player, World
from flowlink.app import registry
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId, actor_of
from flowlink.kernel import audit, db, jobs, migrate, settings
from flowlink.kernel.money import Money
from flowlink.kernel.postgres import EmbeddedPostgres
from flowlink.kernel.settings import Settings
from flowlink.partners import groups, service as partners
from flowlink.partners.ids import PartnerId
from flowlink.payouts.models import Accrual
from flowlink.payouts.waiting_models import Waiting
from flowlink.risk import queries as risk_queries, scales, service as risk, watches
from flowlink.risk.models import Hold
from flowlink.risk.watch_models import Watch, WatchState
from flowlink.tracking import budgets, clicks, networks, offers, postbacks, screening, service
from flowlink.tracking.clicks import Visit
from flowlink.tracking.ids import OfferId
from flowlink.tracking.models import Mode, Reason
from flowlink.tracking.offers import OfferIn
from flowlink.tracking.postbacks import PostbackIn

START = datetime(2026, 11, 2, tzinfo=UTC)
SEED = 20261121
DAYS = 3
PRICE = Money.from_cents(10)
LARGE = 10_000  # percent of the usual limit
FRAUD_BEGINS = timedelta(days=1)  # the day before it tells what usually sells
URL = "http://testserver"
KEY = "a-key-for-the-simulation-only-001"


@dataclass
class Truth:
    """What each valid click was, by its number."""

    fraud: set[int] = field(default_factory=set)
    honest: set[int] = field(default_factory=set)
    kind: dict[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """Of one kind of traffic: clicks that count, and what became of their money."""

    kind: str
    fraud: bool
    clicks: int
    watched: int
    held: int
    lost: int

    @property
    def kept_out(self) -> int:
        return self.watched + self.held


@contextmanager
def server() -> Iterator[None]:
    """A database of its own. How fast it is does not matter here."""
    with tempfile.TemporaryDirectory() as folder:
        postgres = EmbeddedPostgres(Path(folder) / "data", durable=False)
        postgres.start()
        try:
            settings.use(
                Settings(_env_file=None, base_url=URL, secret_keys=(KEY,))  # type: ignore[call-arg]
            )
            migrate.upgrade(postgres.url())
            db.connect(postgres.url())
            registry.load()
            yield
        finally:
            db.disconnect()
            postgres.stop()


def play(days: int, *, scaled: bool, small: bool = False) -> list[Outcome]:
    """The world's days in the connected database, slot by slot, as the schedule would run them."""
    world = World(SEED, START)
    players = cast.players(world, small=small)
    with db.write() as session:
        people = _settle_in(session, players)
        if scaled:
            _scale(session, people.values())
    truth = Truth()
    later: dict[datetime, list[tuple[str, datetime]]] = defaultdict(list)
    slot = START
    while slot < START + timedelta(days=days):
        _live(world, players, people, slot, truth, later)
        slot += SLOT
    jobs.run("click_accrual", slot + timedelta(hours=1))
    jobs.run_pending(slot + timedelta(hours=1))
    return _outcomes(truth, slot + timedelta(hours=2))


def _live(
    world: World,
    players: Sequence[Player],
    people: Mapping[str, PartnerId],
    slot: datetime,
    truth: Truth,
    later: dict[datetime, list[tuple[str, datetime]]],
) -> None:
    """Ten minutes: visits, sales that are reported, and then what the clock starts."""
    if slot.hour == 6 and slot.minute == 0:
        with db.write() as session:
            _sign_in(session, players, people, slot)
    acts = [(act, one.kind) for one in players for act in _acts(world, one, slot)]
    acts.sort(key=lambda pair: pair[0].at)
    with db.write() as session:
        if acts:
            _click(session, acts, truth, later)
        for token, at in later.pop(slot, []):
            _sell(session, token, at)
    now = slot + SLOT
    jobs.run("risk_sweep", now)
    if now.minute == 10:
        jobs.run("click_accrual", now)
    jobs.run_pending(now)


def _acts(world: World, player: Player, slot: datetime) -> Iterator[Act]:
    for make in (player.make, *player.also):
        for act in make(world, player, slot) if make is not None else ():
            if not act.fraud or slot >= START + FRAUD_BEGINS:
                yield act


def _click(
    session: Session,
    acts: Sequence[tuple[Act, str]],
    truth: Truth,
    later: dict[datetime, list[tuple[str, datetime]]],
) -> None:
    visits = [
        Visit(
            act.link,
            act.at,
            act.address,
            act.agent,
            act.referrer,
            screening.screen(method="GET", agent=act.agent, purpose=""),
        )
        for act, _ in acts
    ]
    stored = clicks.store(session, visits=visits)
    numbers = [one.number for one in stored if one is not None]
    counts = set(
        session.scalars(
            text("SELECT id FROM tracking_click WHERE id = ANY(:ids) AND reason = :valid"),
            {"ids": numbers, "valid": int(Reason.VALID)},
        )
    )
    for (act, kind), one in zip(acts, stored, strict=True):
        if one is None or one.number not in counts:
            continue
        (truth.fraud if act.fraud else truth.honest).add(one.number)
        truth.kind[one.number] = kind
        if act.sale_after_s is not None:
            at = act.at + timedelta(seconds=act.sale_after_s)
            due = at - timedelta(minutes=at.minute % 10, seconds=at.second, microseconds=0)
            later[due.replace(microsecond=0)].append((clicks.token_of(one), at))


def _sell(session: Session, token: str, at: datetime) -> None:
    network = networks.named(session, "direct")
    query = {
        "network": "direct",
        "key": networks.key_of(network),
        "subid": token,
        "amount": "30.00",
        "txn_id": token,
        "status": "approved",
    }
    request = PostbackIn(method="GET", query=urlencode(query), address="198.51.100.7")
    postbacks.receive(session, request=request, now=at)


def _settle_in(session: Session, players: Sequence[Player]) -> dict[str, PartnerId]:
    """Partners with their links on one offer that pays for clicks."""
    service.seed(session, base_url=URL, now=START)
    offer = offers.create(
        session,
        given=OfferIn(
            name="clicks",
            mode=Mode.CPC,
            destination="https://shop.example/",
            cpc=PRICE,
            budget=Money.from_cents(100_000_00),
        ),
        network=networks.named(session, "direct"),
        actor="bench",
        now=START - timedelta(days=30),
    )
    assert budgets.left(session, [offer.id])[offer.id].micro > 0
    found = {}
    for one in players:
        user = identity.ensure_user(session, email=f"{one.name}@example.org", now=START)
        partner = partners.ensure_active(session, user_id=UserId(user.id), now=START)
        found[one.name] = PartnerId(partner.id)
        for slug in one.links:
            service.create_link(
                session,
                partner_id=PartnerId(partner.id),
                slug=slug,
                offer_id=OfferId(offer.id),
                now=START,
            )
    return found


def _sign_in(
    session: Session, players: Sequence[Player], people: Mapping[str, PartnerId], at: datetime
) -> None:
    """Those whose home plays a part look into their portal in the morning."""
    from flowlink.partners import queries  # noqa: PLC0415

    for one in players:
        if one.home:
            user_id = UserId(queries.get(session, people[one.name]).user_id)
            audit.record(session, actor_of(user_id), "signed in", one.name, at, one.home)


def _scale(session: Session, people: Collection[PartnerId]) -> None:
    """Everybody in one group, for which more traffic is usual."""
    why, by = "posts go viral", "bench"
    group = groups.create(session, name="everybody", actor=by, now=START)
    for partner_id in people:
        groups.move(
            session, partner_id=partner_id, group_id=group.id, reason=why, actor=by, now=START
        )
    scales.set_for_group(
        session, group_id=group.id, version=0, percent=LARGE, reason=why, actor=by, now=START
    )


def _outcomes(truth: Truth, now: datetime) -> list[Outcome]:
    """Who waits now; then a person decides by the truth, and what is lost to whom."""
    with db.read() as session:
        watched = _numbers(session, select(func.unnest(Waiting.click_ids)))
        held = _numbers(session, _HELD)
    with db.write() as session:
        _decide(session, truth, now)
    jobs.run_pending(now)
    jobs.run("click_accrual", now)
    with db.read() as session:
        paid = _numbers(session, select(func.unnest(Accrual.click_ids)))
    groups: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for number, kind in truth.kind.items():
        groups[kind, number in truth.fraud].append(number)
    return [
        Outcome(
            kind=kind,
            fraud=fraud,
            clicks=len(numbers),
            watched=len(watched & set(numbers)),
            held=len(held & set(numbers)),
            lost=len(set(numbers) - paid),
        )
        for (kind, fraud), numbers in sorted(groups.items(), key=lambda item: item[0][::-1])
    ]


# Clicks whose money a hold keeps apart: that of accruals whose entry went to the held account.
_HELD = text(
    """
    SELECT unnest(a.click_ids) FROM payouts_accrual AS a WHERE EXISTS (
      SELECT FROM ledger_transfer AS t JOIN ledger_account AS c ON c.number = t.credit
       WHERE t.entry_id = a.entry_id AND c.kind = 'held')
    """
)


def _numbers(session: Session, query: object) -> set[int]:
    return set(session.execute(query).scalars())  # type: ignore[call-overload]


def _decide(session: Session, truth: Truth, now: datetime) -> None:
    """What an operator with good eyes does: fraud where most of the watched clicks are."""
    for watch in session.scalars(select(Watch).where(Watch.state == WatchState.OPEN)).all():
        mine = _numbers(
            session, select(func.unnest(Waiting.click_ids)).where(Waiting.watch_id == watch.id)
        )
        fraud = len(mine & truth.fraud) * 2 > len(mine)
        watches.decide(
            session, watch_id=watch.id, fraud=fraud, reason="seen", actor="bench", now=now
        )
    for hold in session.scalars(select(Hold).where(Hold.lifted_at.is_(None))).all():
        if risk_queries.holds_of(session, PartnerId(hold.partner_id)):
            risk.lift_hold(
                session,
                partner_id=PartnerId(hold.partner_id),
                reason="seen",
                actor="bench",
                now=now,
            )


def figures(outcomes: Collection[Outcome]) -> dict[str, float]:
    """Shares of clicks, all of one price and so of money."""
    total: Counter[str] = Counter()
    for one in outcomes:
        side = "fraud" if one.fraud else "honest"
        total[side] += one.clicks
        total[f"{side} watched"] += one.watched
        total[f"{side} out"] += one.kept_out
        if one.kind == "viral":
            total["viral lost"] += one.lost
    found = total["fraud out"] + total["honest out"]
    watched = total["fraud watched"] + total["honest watched"]
    return {
        "kept out": total["fraud out"] / max(total["fraud"], 1),
        "kept out by signals": total["fraud watched"] / max(total["fraud"], 1),
        "honest delayed": total["honest out"] / max(total["honest"], 1),
        "honest watched": total["honest watched"] / max(total["honest"], 1),
        "precision": total["fraud out"] / max(found, 1),
        "precision of signals": total["fraud watched"] / max(watched, 1),
        "viral lost": float(total["viral lost"]),
    }


def show(title: str, outcomes: Sequence[Outcome]) -> None:
    rows = [
        (
            one.kind,
            "fraud" if one.fraud else "honest",
            one.clicks,
            _euros(one.clicks),
            _euros(one.watched),
            _euros(one.held),
            _euros(one.clicks - one.kept_out),
            _euros(one.lost),
        )
        for one in outcomes
    ]
    table(
        title,
        ("traffic", "truth", "clicks", "worth", "watched", "held", "available", "lost at last"),
        rows,
    )
    found = figures(outcomes)
    table(
        "figures",
        ("", ""),
        [
            ("fraudulent click money kept out of available (recall)", f"{found['kept out']:.2%}"),
            ("  of it by the signals alone", f"{found['kept out by signals']:.2%}"),
            ("precision of all that was kept out", f"{found['precision']:.2%}"),
            ("  of the signals alone", f"{found['precision of signals']:.2%}"),
            ("honest money delayed", f"{found['honest delayed']:.2%}"),
            ("  of it by the signals", f"{found['honest watched']:.2%}"),
            ("clicks of the honest viral partner unpaid at last", f"{found['viral lost']:.0f}"),
        ],
    )


def _euros(count: int) -> str:
    return f"{Money(PRICE.micro * count).decimal():.2f}"


def main(days: int = DAYS) -> None:
    for scaled, title in (
        (True, "the velocity limit scaled by 100 for the group that all are in"),
        (False, "the default limit of 40 clicks for everybody"),
    ):
        with server():
            show(f"{days} days, {title}", play(days, scaled=scaled))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:2]))
