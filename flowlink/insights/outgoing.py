"""What partners' endpoints are told: conversions, withdrawals and holds, as data of their own."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import String, cast, func, select
from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.identity.ids import UserId
from flowlink.kernel import ids, settings
from flowlink.kernel.money import Money
from flowlink.notify import service as notify, webhooks
from flowlink.notify.ids import ENDPOINT, EndpointId
from flowlink.notify.models import Delivery, Endpoint, EndpointState
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.payouts import ids as payout_ids
from flowlink.payouts.models import State, Withdrawal, WithdrawalEvent
from flowlink.risk.models import Hold
from flowlink.tracking import queries as tracking
from flowlink.tracking.ids import CONVERSION
from flowlink.tracking.models import Conversion, ConversionRevision
from flowlink.web.amounts import money_json

CONVERSION_CHANGED = "conversion.changed"
HOLD_EVENTS = ("hold.placed", "hold.lifted")
EVENTS = (CONVERSION_CHANGED, *(f"withdrawal.{state}" for state in State), *HOLD_EVENTS)
RECENT = timedelta(days=2)  # how far back an endpoint is told of what it may have missed
BATCH = 200


@dataclass(frozen=True)
class DeliveryLine:
    """A delivery in the log."""

    delivery: Delivery
    endpoint: Endpoint


def tell_conversions(session: Session, *, now: datetime) -> int:
    """Queue the recent revisions that an endpoint wants and was not told of; returns how many."""
    source = func.concat(
        "conversion:",
        cast(ConversionRevision.conversion_id, String),
        ":",
        cast(ConversionRevision.revision, String),
    )
    told = select(Delivery.id).where(Delivery.endpoint_id == Endpoint.id, Delivery.source == source)
    rows = (
        select(Conversion, ConversionRevision)
        .join(ConversionRevision, ConversionRevision.conversion_id == Conversion.id)
        .join(Endpoint, Endpoint.owner_id == Conversion.partner_id)
        .where(
            Endpoint.state == EndpointState.ACTIVE,
            Endpoint.events.contains([CONVERSION_CHANGED]),
            ConversionRevision.at > now - RECENT,
            ConversionRevision.at >= Endpoint.created_at,
            ~told.exists(),
        )
        .order_by(ConversionRevision.at, Conversion.id, ConversionRevision.revision)
        .limit(BATCH)
    )
    found = session.execute(rows).unique().all()
    for conversion, revision in found:
        webhooks.publish(
            session,
            owner_id=conversion.partner_id,
            event=CONVERSION_CHANGED,
            source=f"conversion:{conversion.id}:{revision.revision}",
            data=_conversion(session, conversion, revision),
            happened_at=revision.at,
            now=now,
        )
    return len(found)


def tell_withdrawal(session: Session, *, withdrawal_id: UUID, sequence: int, now: datetime) -> None:
    """Queue one step of a withdrawal."""
    withdrawal = session.get_one(Withdrawal, withdrawal_id)
    step = session.get_one(WithdrawalEvent, (withdrawal_id, sequence))
    data = {
        "id": payout_ids.public(withdrawal.id),
        "status": str(step.to_state),
        "amount": money_json(withdrawal.amount),
        "reference": withdrawal.reference,
        "reason": withdrawal.reason,
        "at": step.at.isoformat(),
    }
    webhooks.publish(
        session,
        owner_id=withdrawal.partner_id,
        event=f"withdrawal.{step.to_state}",
        source=f"withdrawal:{withdrawal.id}:{sequence}",
        data=data,
        happened_at=step.at,
        now=now,
    )


def tell_hold(session: Session, *, hold_id: UUID, event: str, now: datetime) -> None:
    """Queue that a hold was placed or lifted."""
    hold = session.get_one(Hold, hold_id)
    at = hold.lifted_at if event == "hold.lifted" and hold.lifted_at else hold.created_at
    webhooks.publish(
        session,
        owner_id=hold.partner_id,
        event=event,
        source=f"{event}:{hold.id}",
        data={"flag": str(hold.flag), "reason": hold.reason, "at": at.isoformat()},
        happened_at=at,
        now=now,
    )


def tell_owner(session: Session, *, endpoint_id: UUID, owner_id: UUID, now: datetime) -> None:
    """Write to the partner whose endpoint was disabled."""
    endpoint = session.get(Endpoint, endpoint_id)
    if endpoint is None or endpoint.state != EndpointState.DISABLED:
        return
    user_id = UserId(partners.get(session, PartnerId(owner_id)).user_id)
    page = f"/partner/webhooks/{ids.public(ENDPOINT, endpoint.id)}"
    notify.send(
        session,
        to=identity.email_of(session, user_id),
        template="insights/email/endpoint_disabled",
        lang=identity.lang_of(session, user_id),
        context={"address": endpoint.url, "url": f"{settings.current().url}{page}"},
        source=f"endpoint-disabled:{endpoint.id}:{endpoint.failing_since}",
        now=now,
    )


def endpoints(session: Session, owner_id: PartnerId) -> Sequence[Endpoint]:
    """The partner's endpoints, oldest first."""
    rows = select(Endpoint).where(Endpoint.owner_id == owner_id).order_by(Endpoint.id)
    return session.scalars(rows).all()


def endpoint(session: Session, owner_id: PartnerId, endpoint_id: EndpointId) -> Endpoint:
    """:raises webhooks.UnknownEndpoint: none, or somebody else's."""
    found = session.get(Endpoint, endpoint_id)
    if found is None or found.owner_id != owner_id:
        raise webhooks.UnknownEndpoint
    return found


def deliveries(
    session: Session, endpoint_id: UUID, *, before: UUID | None = None, limit: int = 50
) -> Sequence[Delivery]:
    """The newest first."""
    rows = select(Delivery).where(Delivery.endpoint_id == endpoint_id)
    if before is not None:
        rows = rows.where(Delivery.id < before)
    return session.scalars(rows.order_by(Delivery.id.desc()).limit(limit)).all()


def delivery(session: Session, owner_id: PartnerId, delivery_id: UUID) -> DeliveryLine:
    """:raises webhooks.UnknownDelivery: none, or somebody else's."""
    found = session.get(Delivery, delivery_id)
    mine = session.get(Endpoint, found.endpoint_id) if found else None
    if found is None or mine is None or mine.owner_id != owner_id:
        raise webhooks.UnknownDelivery
    return DeliveryLine(found, mine)


def _conversion(
    session: Session, conversion: Conversion, revision: ConversionRevision
) -> Mapping[str, Any]:
    """As the API shows it, at this revision."""
    link = tracking.links_by_id(session, {conversion.link_id})[conversion.link_id]
    partner = partners.get(session, PartnerId(conversion.partner_id)).number
    amount = Money(revision.amount_micro, conversion.currency)
    return {
        "id": ids.public(CONVERSION, conversion.id),
        "status": str(revision.status),
        "amount": money_json(amount),
        "commission": money_json(amount.share(conversion.share_bps)),
        "goal": conversion.goal,
        "txn_id": conversion.txn_id,
        "link": link.code,
        "click_id": tracking.token_of(conversion, link, partner),
        "revision": revision.revision,
        "occurred_at": conversion.occurred_at.isoformat(),
    }
