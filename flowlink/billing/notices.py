"""What a team's owner is told about money: paid, failed, given back, ends soon, has ended."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import ids
from flowlink.billing.models import LEAD, PLAN, Payment, Resource
from flowlink.identity import queries as identity
from flowlink.kernel import settings
from flowlink.kernel.money import Money
from flowlink.notify import service as notify
from flowlink.notify.models import Mail
from flowlink.teams import queries as teams
from flowlink.teams.models import Team
from flowlink.web import i18n


def receipt(session: Session, payment: Payment, resource: Resource, *, now: datetime) -> None:
    """It was paid, and until when it runs."""
    _write(
        session,
        resource,
        "paid",
        f"billing:paid:{payment.id}",
        now,
        amount=payment.amount,
        until=payment.ends_at,
    )


def past_due(session: Session, payment: Payment, resource: Resource, *, now: datetime) -> None:
    """A renewal failed; until when nothing changes."""
    source = f"billing:past-due:{payment.id}"
    until = resource.grace_until
    _write(session, resource, "past_due", source, now, amount=payment.amount, until=until)


def refunded(
    session: Session, payment: Payment, resource: Resource, *, part: Money, now: datetime
) -> None:
    """Money went back."""
    source = f"billing:refunded:{payment.id}:{payment.refunded_minor}"
    _write(session, resource, "refunded", source, now, amount=part, until=payment.ends_at)


def reminder(
    session: Session, resource: Resource, *, days: int, renews: bool, now: datetime
) -> bool:
    """What happens in a few days; False when this was told before."""
    source = f"billing:reminder:{resource.id}:{resource.expires_at}:{days}"
    if session.scalars(select(Mail.id).where(Mail.source == source)).first() is not None:
        return False
    amount = resource.next_price
    template = "renews" if renews else "ends"
    _write(session, resource, template, source, now, amount=amount, until=resource.expires_at)
    return True


def ended(session: Session, resource: Resource, *, now: datetime) -> None:
    """It is over."""
    source = f"billing:ended:{resource.id}:{resource.expires_at}"
    price = resource.unit_price * resource.quantity
    _write(session, resource, "ended", source, now, amount=price, until=resource.expires_at)


def _write(
    session: Session,
    resource: Resource,
    template: str,
    source: str,
    now: datetime,
    *,
    amount: Money,
    until: datetime | None,
) -> None:
    team = session.get_one(Team, resource.team_id)
    owner = teams.owner_of(session, team.id)
    lang = identity.lang_of(session, owner)
    notify.send(
        session,
        to=identity.email_of(session, owner),
        template=f"billing/email/{template}",
        lang=lang,
        context={
            "team": team.name,
            "what": resource.plan if resource.kind == PLAN else resource.kind,
            "is_plan": "yes" if resource.kind == PLAN else "",
            "quantity": str(resource.next_quantity),
            "micro": str(amount.micro),
            "currency": amount.currency,
            "until": i18n.day(until, lang) if until else "",
            "charged": i18n.day(until - LEAD, lang) if until else "",
            "resource": ids.resource(resource.id),
            "url": f"{settings.current().url}/teams/{team.slug}/billing",
        },
        source=source,
        now=now,
    )
