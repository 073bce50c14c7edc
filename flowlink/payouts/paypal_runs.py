"""Runs through PayPal: handed over, asked about, and their events handled.

What was not answered is `unknown`: we ask again under the same `sender_batch_id`, which PayPal
pays once in 30 days. We stop relying on that after 25 days; then a person decides.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, events, inbound
from flowlink.kernel.inbound import ProviderEvent
from flowlink.payouts import outcomes, run_files
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.outcomes import Word
from flowlink.payouts.paypal import BatchState, ItemState, Payouts, PaypalRefused, Unsure
from flowlink.payouts.run_models import Run, RunItem, RunState
from flowlink.web.i18n import mark

PROVIDER = "paypal"
ASK_BY_ID = timedelta(days=25)
BATCH = 50  # items of one transaction: a killed worker repeats at most so many
_FIRST_PAUSE = timedelta(minutes=1)
_LONGEST_PAUSE = timedelta(hours=6)
_DAILY = timedelta(days=1)
LOOKED_AFTER = timedelta(days=35)  # an unclaimed item comes back after 30
_STATES = {
    "SUCCESS": State.SETTLED,
    "FAILED": State.FAILED,
    "BLOCKED": State.FAILED,
    "RETURNED": State.RETURNED,
    "REFUNDED": State.RETURNED,
    "REVERSED": State.RETURNED,
}
# What a partner reads; PayPal's own words stay with the item.
_SENTENCES = {
    "FAILED": mark("PayPal could not deliver the money."),
    "BLOCKED": mark("PayPal blocked the payment."),
    "RETURNED": mark("Nobody claimed the money at PayPal within 30 days."),
    "REFUNDED": mark("The receiver sent the money back."),
    "REVERSED": mark("PayPal took the payment back."),
    "DENIED": mark("PayPal refused the whole batch."),
    "CANCELED": mark("PayPal refused the whole batch."),
}
_NOT_APPLIED = "PayPal's answer could not be applied: the log has the reason"
_OPEN = {"PENDING", "UNCLAIMED", "ONHOLD"}
# PayPal's words for the whole batch, under which nothing of it is paid.
_NOTHING_PAID = {"DENIED", "CANCELED"}


def due(session: Session, *, now: datetime) -> Sequence[UUID]:
    """The released runs that PayPal has to be asked about by now."""
    rows = select(Run.id).where(
        Run.rail == Rail.PAYPAL, Run.state == RunState.RELEASED, Run.next_try_at <= now
    )
    return session.scalars(rows.order_by(Run.id)).all()


def drive(paypal: Payouts, *, run_id: UUID, now: datetime) -> str:
    """Hand a run over or ask about it, whichever is next; returns what came of it.

    Safe to repeat at any moment, also after a kill between any two steps, and twice at once.
    """
    with db.read() as session:
        run = session.get_one(Run, run_id)
        batch_id, body = run.provider_batch_id, run_files.released(session, run).body
    try:
        if batch_id is None:
            batch_id = _hand_over(paypal, run_id, body, now)
        if batch_id is None:
            return "waits for a person"
        return _take_in(paypal.batch(batch_id, now=now), run_id, now)
    except Unsure as trouble:
        _postpone(run_id, str(trouble), now)
        return "asked again later"
    except PaypalRefused as refusal:
        _leave_to_person(run_id, str(refusal))
        return "waits for a person"


def handle(paypal: Payouts, *, event_key: UUID, now: datetime) -> None:
    """Handle one kept event once: it only says where to look, the state is asked of PayPal."""
    with db.read() as session:
        event = inbound.read(session, event_key)
        kind, resource = event.kind, json.loads(event.body).get("resource", {})
    try:
        if kind.startswith("PAYMENT.PAYOUTS-ITEM."):
            words = [_word(paypal.item(str(resource["payout_item_id"]), now=now))]
        else:
            words = []
    except (Unsure, PaypalRefused) as trouble:
        _event_later(event_key, str(trouble), now)
        return
    except KeyError:
        words = []
    with db.write() as session:
        waiting = inbound.lock(session, event_key)
        if waiting is not None:
            _event_done(session, waiting, words, resource, now)


def try_again(session: Session, *, run_id: UUID, actor: str, now: datetime, ip: str = "") -> None:
    """Let a released run be asked about at once, also one that waits for a person."""
    mine = Run.id == run_id, Run.state == RunState.RELEASED, Run.rail == Rail.PAYPAL
    for run in db.lock(session, Run, *mine):
        run.trouble, run.next_try_at = "", now
        audit.record(session, actor, "asked about payout run", str(run.message_id), now, ip)
        events.emit(session, "payout_run.released", {"run_id": str(run.id)})


def put_off(*, run_id: UUID, now: datetime) -> None:
    """Ask about a run later: what was said of it this time could not be applied."""
    _postpone(run_id, _NOT_APPLIED, now)


def put_off_event(*, event_key: UUID, now: datetime) -> None:
    """Handle an event later: this time it could not be applied."""
    _event_later(event_key, _NOT_APPLIED, now)


def _hand_over(paypal: Payouts, run_id: UUID, body: bytes, now: datetime) -> str | None:
    """The batch's own id, from PayPal's answer to the first call or to a repeated one."""
    with db.write() as session:
        (run,) = db.lock(session, Run, Run.id == run_id)
        if run.provider_batch_id is not None:
            return run.provider_batch_id
        run.first_tried_at = run.first_tried_at or now
        if now - run.first_tried_at > ASK_BY_ID:
            run.trouble, run.next_try_at = "PayPal has not answered for 25 days", None
            return None
    batch_id = paypal.create(body, now=now)
    with db.write() as session:
        (run,) = db.lock(session, Run, Run.id == run_id)
        run.provider_batch_id = batch_id
    return batch_id


def _take_in(found: BatchState, run_id: UUID, now: datetime) -> str:
    """Apply what PayPal says of each item; the run is done when none is open."""
    words = [_word(item) for item in found.items]
    if found.status in _NOTHING_PAID:
        words = _all_failed(run_id, found, words)
    for first in range(0, len(words), BATCH):
        with db.write() as session:
            some = words[first : first + BATCH]
            outcomes.apply(session, words=some, actor=PROVIDER, now=now)
    with db.write() as session:
        (run,) = db.lock(session, Run, Run.id == run_id)
        still = _open_items(session, run_id)
        run.trouble = ""
        run.tries = run.tries + 1 if still else run.tries
        run.next_try_at = _next_look(run, still, now)
    return f"{still} items open"


def _word(item: ItemState) -> Word:
    state = _STATES.get(item.status)
    known = item.status in _STATES or item.status in _OPEN
    return Word(
        end_to_end_id=item.sender_item_id,
        state=state,
        says=item.status if known else f"?{item.status}",
        reference=item.transaction_id or item.item_id,
        reason=_SENTENCES.get(item.status, ""),
        detail=item.reason,
        provider_item_id=item.item_id or None,
        fee=item.fee,
    )


def _all_failed(run_id: UUID, found: BatchState, words: Sequence[Word]) -> list[Word]:
    """A denied batch pays nothing, also where it lists no items."""
    final = [word for word in words if word.state is not None]
    said = {word.end_to_end_id for word in final}
    with db.read() as session:
        items = run_files.live(session, session.get_one(Run, run_id))
        names = [item.end_to_end_id for item in items if item.end_to_end_id not in said]
    reason = _SENTENCES[found.status]
    return final + [Word(name, State.FAILED, says=found.status, reason=reason) for name in names]


def _event_done(
    session: Session,
    event: ProviderEvent,
    words: Sequence[Word],
    resource: dict[str, object],
    now: datetime,
) -> None:
    became = outcomes.apply(session, words=words, actor=PROVIDER, now=now)
    told = [str(one or "no item of ours") for one in became]
    if not words:
        told = [_batch_event(session, resource, now)]
    inbound.handled(event, outcome=", ".join(told), now=now)


def _batch_event(session: Session, resource: dict[str, object], now: datetime) -> str:
    """A batch's event holds no items: it names the batch, which is asked about at once."""
    head = resource.get("batch_header")
    sender = head.get("sender_batch_header", {}) if isinstance(head, dict) else {}
    runs = db.lock(session, Run, Run.message_id == str(sender.get("sender_batch_id", "")))
    for run in runs:
        if isinstance(head, dict) and run.provider_batch_id is None:
            run.provider_batch_id = str(head.get("payout_batch_id", "")) or None
        if run.next_try_at is not None:
            run.next_try_at = now
    return "batch looked up" if runs else "nothing of ours"


def _postpone(run_id: UUID, trouble: str, now: datetime) -> None:
    with db.write() as session:
        (run,) = db.lock(session, Run, Run.id == run_id)
        run.trouble, run.next_try_at = trouble[:500], now + _pause(run.tries)
        run.tries += 1


def _leave_to_person(run_id: UUID, trouble: str) -> None:
    with db.write() as session:
        (run,) = db.lock(session, Run, Run.id == run_id)
        run.trouble, run.next_try_at = trouble[:500], None


def _event_later(event_key: UUID, trouble: str, now: datetime) -> None:
    with db.write() as session:
        waiting = inbound.lock(session, event_key)
        if waiting is not None:
            inbound.postpone(waiting, trouble=trouble, now=now)


def _next_look(run: Run, still: int, now: datetime) -> datetime | None:
    """Open items soon; paid ones daily for a while: a reversal's event may have been lost."""
    if still:
        return now + _pause(run.tries)
    assert run.released_at is not None
    return now + _DAILY if now - run.released_at < LOOKED_AFTER else None


def _pause(tries: int) -> timedelta:
    return min(_FIRST_PAUSE * (1 << min(tries, 10)), _LONGEST_PAUSE)


def _open_items(session: Session, run_id: UUID) -> int:
    rows = (
        select(func.count())
        .select_from(RunItem)
        .join(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .where(RunItem.run_id == run_id, Withdrawal.state == State.SENT, RunItem.left_at.is_(None))
    )
    return session.scalar(rows) or 0
