"""A believable month for an empty installation, made by the services that the product itself uses.

Seeded: two runs at the same moment give the same clicks, conversions and amounts.
"""

import heapq
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import count
from random import Random
from urllib.parse import urlencode

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.app import demo_teams
from flowlink.app.demo_cast import AGENTS, BOTS, HOURS, PLAYERS, REFERRERS, WEEKDAYS, Player
from flowlink.app.outcome import Failed
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import db, jobs, policy as policies, settings
from flowlink.kernel.money import Money
from flowlink.partners import service as partners
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import commissions, queries as payouts, reserve, service, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.payouts.models import State, Withdrawal
from flowlink.risk import service as risk
from flowlink.tracking import clicks, networks, offers, postbacks, screening, service as tracking
from flowlink.tracking.clicks import Stored, Visit
from flowlink.tracking.ids import OfferId
from flowlink.tracking.models import Click, Mode
from flowlink.tracking.networks import NetworkIn
from flowlink.tracking.offers import OfferIn
from flowlink.tracking.postbacks import PostbackIn

DAYS = 38  # a month, and the week before it, so that the first reserves are released
SEED = 20_261_121
ACTOR = "cli"
HELD = "samir-build"
CONVERSIONS_PER_1000_CLICKS = 45
# Of a hundred conversions: what their network says first, later, and how many days later.
STORIES = (
    (58, ("approved",), (0,)),
    (20, ("pending", "approved"), (0, 6)),
    (7, ("pending", "rejected"), (0, 4)),
    (7, ("approved", "reversed"), (0, 9)),
    (8, ("pending",), (0,)),
)

Act = Callable[[Session, datetime], None]


class NotEmpty(Failed):
    """There is something here already that a demonstration must not be mixed with."""


@dataclass
class Stage:
    """The month as it is played: who is in it, and what is still to happen, in time's order."""

    random: Random
    starts_at: datetime
    ends_at: datetime
    partners: dict[str, PartnerId] = field(default_factory=dict)
    links: dict[str, list[str]] = field(default_factory=dict)
    agenda: list[tuple[datetime, int, Act]] = field(default_factory=list)
    order: "count[int]" = field(default_factory=count)
    sales: int = 0

    def plan(self, at: datetime, act: Act) -> None:
        """Let `act` happen at `at`, unless the month is over by then."""
        if at <= self.ends_at:
            heapq.heappush(self.agenda, (at, next(self.order), act))


def fill(*, now: datetime, days: int = DAYS) -> str:
    """Play the days that end at `now`; returns one line about what was made.

    :raises NotEmpty: there are partners or clicks already, or mails would really be sent.
    """
    _refuse_unless_empty()
    now = now.replace(minute=0, second=0, microsecond=0)  # two runs in one hour are the same
    start = (now - timedelta(days=days)).replace(hour=0, minute=0, second=0, microsecond=0)
    stage = Stage(random=Random(SEED), starts_at=start, ends_at=now)  # noqa: S311
    with db.write() as session:
        _prepare(session, stage)
    for day in range(days + 1):
        with db.write() as session:
            _play(session, stage, start + timedelta(days=day))
    teams = demo_teams.play(now=now, link=stage.links[PLAYERS[0].handle][0])
    jobs.run_pending(now)
    return _summary(teams)


def _refuse_unless_empty() -> None:
    if settings.current().smtp_url or settings.current().brevo_api_key:
        raise NotEmpty("mail is set up here: a demonstration would write to invented people")
    with db.read() as session:
        found = session.scalar(select(func.count()).select_from(Partner))
        found = found or session.scalar(select(func.count()).select_from(Click))
    if found:
        raise NotEmpty("this installation is not empty: the demonstration needs one of its own")


def _prepare(session: Session, stage: Stage) -> None:
    """The networks and offers that the month is about."""
    at = stage.starts_at
    tracking.seed(session, base_url=settings.current().url, now=at)
    shops = networks.create(
        session,
        given=NetworkIn(
            name="cercle-shops",
            fields={"subid": "clickref", "amount": "commission", "txn_id": "order"},
            statuses={"open": "pending", "validated": "approved"},
            click_param="clickref",
        ),
        actor=ACTOR,
        now=at,
    )
    destination = settings.current().url + "/go?shop={link}"
    offers.create(
        session,
        given=OfferIn(name="cercle-cafe", mode=Mode.REVSHARE, destination=destination),
        network=shops,
        actor=ACTOR,
        now=at,
    )
    for player in PLAYERS:
        stage.plan(at + timedelta(days=player.joined_day, hours=7), _joining(stage, player))
    stage.plan(at + timedelta(days=33, hours=11), _holding(stage))
    for week in range(1, (stage.ends_at - at).days // 7 + 1):
        stage.plan(at + timedelta(days=7 * week, hours=10), _withdrawing(stage))
    stage.plan(stage.ends_at - timedelta(hours=20), _withdrawing(stage))  # nobody looked at it yet


def _play(session: Session, stage: Stage, day: datetime) -> None:
    """One day: what was planned for it, in order, the clicks with it; then the books."""
    evening = min(day + timedelta(days=1), stage.ends_at)
    _visit(session, stage, day)
    while stage.agenda and stage.agenda[0][0] < evening:
        at, _, act = heapq.heappop(stage.agenda)
        act(session, at)
    while commissions.post_revisions(session, now=evening):
        pass
    while reserve.release(session, now=evening):
        pass


def _joining(stage: Stage, player: Player) -> Act:
    def join(session: Session, at: datetime) -> None:
        user = identity.ensure_user(session, email=player.email, now=at)
        partner = partners.ensure_active(session, user_id=UserId(user.id), now=at)
        partner_id = PartnerId(partner.id)
        partners.choose_handle(session, partner_id=partner_id, handle=player.handle)
        stage.partners[player.handle] = partner_id
        shop = offers.named(session, "cercle-cafe")
        for index, topic in enumerate(player.topics):
            link = tracking.create_link(
                session,
                partner_id=partner_id,
                offer_id=OfferId(shop.id) if index == 1 else None,
                slug=f"{player.handle}-{topic}",
                now=at,
            )
            stage.links.setdefault(player.handle, []).append(link.code)

    return join


def _visit(session: Session, stage: Stage, day: datetime) -> None:
    """The day's clicks of everybody, and the sales that come of them."""
    visits = [
        visit
        for player in PLAYERS
        if player.handle in stage.links
        for visit in _visits_of(stage, player, day)
    ]
    visits = [visit for visit in visits if visit.at <= stage.ends_at]
    for stored, visit in zip(clicks.store(session, visits=visits), visits, strict=True):
        lucky = stage.random.randrange(1000) < CONVERSIONS_PER_1000_CLICKS
        if stored is not None and lucky and not screening.is_bot(visit.agent):
            _sell(stage, stored, visit.at)


def _visits_of(stage: Stage, player: Player, day: datetime) -> list[Visit]:
    random = stage.random
    age = (day - stage.starts_at).days
    usual = player.reach * WEEKDAYS[day.weekday()] * (100 + age) // 10_000
    burst = 4 if random.randrange(40) == 0 else 1
    number = max(0, int(random.gauss(usual * burst, usual * 0.18 + 1)))
    hours = random.choices(range(24), weights=HOURS, k=number)
    return [
        _visit_at(random, stage.links[player.handle], day + timedelta(hours=hour))
        for hour in sorted(hours)
    ]


def _visit_at(random: Random, codes: list[str], hour: datetime) -> Visit:
    agent = random.choice(BOTS) if random.randrange(100) < 6 else random.choice(AGENTS)
    return Visit(
        code=codes[min(random.randrange(6), random.randrange(6)) % len(codes)],
        at=hour + timedelta(seconds=random.randrange(3600)),
        address=f"203.0.{random.randrange(114)}.{random.randrange(256)}",
        agent=agent,
        referrer=random.choice(REFERRERS),
        reason=screening.screen(method="GET", agent=agent, purpose=""),
    )


def _sell(stage: Stage, stored: Stored, clicked_at: datetime) -> None:
    """Plan what the network will say about the sale that this click led to."""
    stage.sales += 1
    story = stage.random.choices(STORIES, weights=[story[0] for story in STORIES])[0]
    amount = Money.from_cents(stage.random.randrange(900, 12_900))
    bought_at = clicked_at + timedelta(minutes=stage.random.randrange(3, 600))
    for status, days in zip(story[1], story[2], strict=True):
        stage.plan(
            bought_at + timedelta(days=days),
            _posting(
                clicks.token_of(stored), stored.target.click_param, stage.sales, amount, status
            ),
        )


def _posting(token: str, parameter: str, number: int, amount: Money, status: str) -> Act:
    def post(session: Session, at: datetime) -> None:
        of_shops = parameter == "clickref"
        network = networks.named(session, "cercle-shops" if of_shops else networks.DIRECT)
        words = {"pending": "open", "approved": "validated"} if of_shops else {}
        query = {
            "network": network.name,
            "key": networks.key_of(network),
            "clickref" if of_shops else "subid": token,
            "commission" if of_shops else "amount": f"{amount.decimal():.2f}",
            "order" if of_shops else "txn_id": f"DEMO-{number:05d}",
            "currency": "EUR",
            "status": words.get(status, status),
        }
        request = PostbackIn(method="GET", query=urlencode(query), address="198.51.100.7")
        postbacks.receive(session, request=request, now=at)

    return post


def _holding(stage: Stage) -> Act:
    def hold(session: Session, at: datetime) -> None:
        risk.place_hold(
            session,
            partner_id=stage.partners[HELD],
            reason="57 clicks within ten minutes; the limit is 40.",
            evidence={
                "rule": "velocity",
                "limit": 40,
                "clicks": 57,
                "valid": 41,
                "from": (at - timedelta(minutes=9)).isoformat(timespec="seconds"),
                "to": at.isoformat(timespec="seconds"),
                "ip_hashes": 9,
                "networks": 3,
                "user_agents": 2,
                "datacenter_share": "64 %",
                "conversions": 0,
                "click_to_conversion_s": [],
            },
            actor=ACTOR,
            policy=policies.at(session, at),
            now=at,
        )

    return hold


def _withdrawing(stage: Stage) -> Act:
    def withdraw(session: Session, at: datetime) -> None:
        while commissions.post_revisions(session, now=at):
            pass
        for player in PLAYERS:
            if player.handle in stage.partners and stage.random.randrange(100) < 60:
                _ask(session, stage, player, at)

    return withdraw


def _ask(session: Session, stage: Stage, player: Player, at: datetime) -> None:
    policy = policies.at(session, at)
    partner_id = stage.partners[player.handle]
    available = payouts.balances(session, partner_id).available
    amount = available.share(stage.random.choice((5_000, 8_000, 10_000))).floor_cents()
    held = risk.lock_hold(session, partner_id=partner_id)
    if amount < policy.payout_min or held is not None:
        return
    withdrawal = service.request_withdrawal(
        session,
        partner_id=partner_id,
        amount=amount,
        rail="bank" if player.iban else "paypal",
        details=player.iban or player.email,
        policy=policy,
        now=at,
    )
    stage.plan(at + timedelta(days=2, hours=4), _settling(stage, withdrawal))


def _settling(stage: Stage, withdrawal: Withdrawal) -> Act:
    """Two days later the operator looks: most are paid, a few refused, one comes back."""

    def settle(session: Session, at: datetime) -> None:
        key = WithdrawalId(withdrawal.id)
        chance = stage.random.randrange(100)
        partner_id = PartnerId(withdrawal.partner_id)
        if risk.lock_hold(session, partner_id=partner_id) is not None:
            return
        state = session.get_one(Withdrawal, key, populate_existing=True).state
        if state == State.REQUESTED and chance >= 8:
            withdrawals.approve(session, withdrawal_id=key, actor=ACTOR, person=None, now=at)
        if chance < 8:
            withdrawals.reject(
                session, withdrawal_id=key, reason="The IBAN's holder differs.", actor=ACTOR, now=at
            )
            return
        reference = f"DEMO-{at:%Y%m%d}-{chance:02d}"
        withdrawals.mark_paid(session, withdrawal_id=key, reference=reference, actor=ACTOR, now=at)

    return settle


def _summary(teams: int) -> str:
    with db.read() as session:
        clicked = session.scalar(select(func.count()).select_from(Click))
        paid = session.scalar(
            select(func.count()).select_from(Withdrawal).where(Withdrawal.state == State.SETTLED)
        )
    return f"{len(PLAYERS)} partners, {clicked} clicks, {paid} withdrawals paid, {teams} teams"
