"""Mails and deliveries leave once queued; what could not leave is tried again, old ones go."""

from datetime import datetime
from typing import Any
from uuid import UUID

from flowlink.kernel import db, jobs
from flowlink.notify import delivery, service, webhook_delivery, webhooks
from flowlink.notify.ids import DeliveryId, MailId
from flowlink.notify.models import MailState
from flowlink.notify.outbound import Guarded


@jobs.handler("mail.requested")
def send_mail(payload: dict[str, Any], now: datetime) -> None:
    delivery.deliver(MailId(UUID(payload["mail_id"])), now=now, way=delivery.transport())


@jobs.job("mail_retry", cron="*/5 * * * *")
def retry_mails(now: datetime) -> str:
    """Another attempt for what failed, and the first for what a killed worker left behind."""
    ended = delivery.deliver_due(now=now, way=delivery.transport())
    return ", ".join(f"{ended[state]} {state}" for state in MailState)


@jobs.job("mail_forget", cron="40 3 * * *")
def forget_mails(now: datetime) -> str:
    with db.write() as session:
        return f"{service.forget_old(session, now=now)} old mails deleted"


@jobs.handler("delivery.queued")
def make_delivery(payload: dict[str, Any], now: datetime) -> None:
    webhook_delivery.deliver(DeliveryId(UUID(payload["delivery_id"])), now=now, way=Guarded())


@jobs.job("delivery_retry", cron="* * * * *")
def retry_deliveries(now: datetime) -> str:
    """Another attempt for what failed, and the first for what a killed worker left behind."""
    return f"{webhook_delivery.deliver_due(now=now, way=Guarded())} attempts"


@jobs.job("delivery_forget", cron="50 3 * * *")
def forget_deliveries(now: datetime) -> str:
    with db.write() as session:
        return f"{webhooks.forget_old(session, now=now)} old deliveries deleted"
