"""The demonstration's customers: a team on the plan Pro whom a partner brought, and a small one."""

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.billing import charges, ids, payday, purchases
from flowlink.billing.sandbox import NAME as SANDBOX, Card
from flowlink.identity import service as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import db, settings
from flowlink.teams import service as teams
from flowlink.teams.models import Team
from flowlink.tracking import arrivals, clicks, screening
from flowlink.tracking.clicks import Visit

ACTOR = "cli"
OWNER = "lea@atelier-nord.example"
AGENT = "Mozilla/5.0 (X11; Linux x86_64; rv:144.0) Gecko/20100101 Firefox/144.0"
# Days before the end of the month, what is bought then, and how many.
ORDERS = ((16, "ram", 2), (12, "cpu", 1), (5, "storage", 1))


def play(*, now: datetime, link: str) -> int:
    """Let them sign up, buy and pay in the sandbox; how many teams there are.

    `link` is the code of the link that brought the greater one. None without the sandbox.
    """
    chosen = settings.current()
    if chosen.payment_provider != SANDBOX or chosen.in_production:
        return 0
    team = _sign_up(now - timedelta(days=20), link)
    _plan(team, now - timedelta(days=19))
    for days, kind, quantity in ORDERS:
        _order(team, kind, quantity, now - timedelta(days=days), paid=True)
    _order(team, "traffic", 1, now - timedelta(hours=3), paid=False)
    return 2


def _sign_up(at: datetime, link: str) -> Team:
    visit = Visit(
        code=link,
        at=at,
        address="203.0.113.77",
        agent=AGENT,
        referrer="",
        reason=screening.screen(method="GET", agent=AGENT, purpose=""),
    )
    with db.write() as session:
        (stored,) = clicks.store(session, visits=[visit])
        owner = identity.ensure_user(session, email=OWNER, now=at)
        if stored is not None:
            token = clicks.token_of(stored)
            arrivals.keep(session, user_id=owner.id, token=token, now=at)
        small = identity.ensure_user(session, email="sam@example.org", now=at)
        _make(session, small.id, "petit-projet", "Petit projet", at)
        return _make(session, owner.id, "atelier-nord", "Atelier Nord", at + timedelta(minutes=9))


def _make(session: Session, owner_id: UUID, slug: str, name: str, at: datetime) -> Team:
    return teams.create(
        session, owner_id=UserId(owner_id), slug=slug, name=name, actor=ACTOR, now=at
    )


def _plan(team: Team, at: datetime) -> None:
    with db.write() as session:
        bought = purchases.buy_plan(session, team=team, plan="pro", actor=ACTOR, now=at)
    _pay(team, ids.PaymentId(bought.payment.id), at, paid=True)


def _order(team: Team, kind: str, quantity: int, at: datetime, *, paid: bool) -> None:
    with db.write() as session:
        bought = purchases.buy_addon(
            session, team=team, kind=kind, quantity=quantity, actor=ACTOR, now=at
        )
    _pay(team, ids.PaymentId(bought.payment.id), at, paid=paid)


def _pay(team: Team, payment_id: ids.PaymentId, at: datetime, *, paid: bool) -> None:
    charges.checkout(team_id=team.id, payment_id=payment_id, now=at)
    if paid:
        payday.pay(ids.payment(payment_id), card=Card.GOOD, now=at)
