"""Makes deliveries: claim and commit, ask outside any transaction, record what came of it."""

from datetime import datetime

from flowlink.kernel import db, logs
from flowlink.notify import webhooks
from flowlink.notify.ids import DeliveryId
from flowlink.notify.outbound import Unreachable, Way

BATCH = 100

log = logs.get("flowlink.webhooks")


def deliver(delivery_id: DeliveryId, *, now: datetime, way: Way) -> bool:
    """One attempt, if it is due; whether it was made."""
    with db.write() as session:
        claimed = webhooks.claim(session, delivery_id=delivery_id, now=now)
    if claimed is None:
        return False
    answer, error = None, ""
    try:
        answer = way.send(claimed.request)
    except Unreachable as why:
        error = str(why)
        log.info("delivery not made", delivery=str(delivery_id), error=error)
    with db.write() as session:
        webhooks.record(session, delivery_id=delivery_id, answer=answer, error=error, now=now)
    return True


def deliver_due(*, now: datetime, way: Way) -> int:
    """Every delivery that is due; returns how many attempts were made."""
    made = 0
    while True:
        with db.read() as session:
            waiting = webhooks.due(session, now=now, limit=BATCH)
        tried = sum(deliver(one, now=now, way=way) for one in waiting)
        made += tried
        if not tried:
            return made
