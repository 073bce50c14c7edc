"""What a network's word does to a conversion: the table of the module's docstring as a function."""

from dataclasses import dataclass
from datetime import datetime

from flowlink.tracking.models import Result, Status

ALREADY_KNOWN = "already_known"
OUT_OF_ORDER = "out_of_order"
FINAL = "final"
MISSING_AMOUNT = "missing_amount"


@dataclass(frozen=True, slots=True)
class State:
    """What we believe of a conversion. `said_micro` and `changed_at`: see `Conversion`."""

    status: Status
    amount_micro: int
    said_micro: int | None = None
    changed_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What a word does: with OK the conversion becomes this status and amount, else nothing."""

    result: Result
    reason: str | None
    status: Status
    amount_micro: int


def decide(
    state: State | None,
    *,
    status: Status,
    amount_micro: int | None,
    changed_at: datetime | None = None,
) -> Step:
    """The step from `state` (None: a new conversion) when a network says `status` and an amount.

    A final state is never left because a message came late or twice. Taking back what was once
    approved is a reversal, whatever the network calls it, and is final; only a conversion that was
    rejected without ever having been approved may still be approved. An amount that a person has
    set stands until the network says another one than it said before: its repeats change nothing.

    `changed_at` is of which moment the word is, where the network says so: one from before the
    word that counts now changes nothing, but a reversal, which is final whenever it was. Networks
    that say no time are believed in the order in which they speak: a repeat that comes late cannot
    be told from an amount that was put right again.
    """
    if state is None:
        return _begun(status, amount_micro)
    if state.status == Status.REVERSED:
        return _kept(state, ALREADY_KNOWN if status == Status.REVERSED else FINAL)
    if status != Status.REVERSED and _is_older(state, changed_at):
        return _kept(state, OUT_OF_ORDER)
    if state.status == Status.REJECTED:
        return _rejected(state, status, amount_micro)
    if status == Status.PENDING and state.status == Status.APPROVED:
        return _kept(state, OUT_OF_ORDER)
    if status in {Status.REJECTED, Status.REVERSED}:
        taken_back = Status.REVERSED if state.status == Status.APPROVED else status
        return Step(Result.OK, None, taken_back, state.amount_micro)
    amount = state.amount_micro if amount_micro is None else amount_micro
    if status == state.status and amount in {state.amount_micro, state.said_micro}:
        return _kept(state, ALREADY_KNOWN)
    return Step(Result.OK, None, status, amount)


def _is_older(state: State, changed_at: datetime | None) -> bool:
    known = state.changed_at
    return known is not None and changed_at is not None and changed_at < known


def _begun(status: Status, amount_micro: int | None) -> Step:
    if amount_micro is None and status in {Status.PENDING, Status.APPROVED}:
        return Step(Result.QUARANTINED, MISSING_AMOUNT, status, 0)
    return Step(Result.OK, None, status, amount_micro or 0)


def _rejected(state: State, status: Status, amount_micro: int | None) -> Step:
    if status == Status.APPROVED:
        amount = state.amount_micro if amount_micro is None else amount_micro
        return Step(Result.OK, "approved_after_rejection", status, amount)
    return _kept(state, OUT_OF_ORDER if status == Status.PENDING else ALREADY_KNOWN)


def _kept(state: State, reason: str) -> Step:
    return Step(Result.DUPLICATE, reason, state.status, state.amount_micro)
