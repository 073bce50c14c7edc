"""What a network's word does to a conversion: the table of the module's docstring as a function."""

from dataclasses import dataclass, replace
from datetime import datetime

from flowlink.tracking.models import Result, Status

ALREADY_KNOWN = "already_known"
OUT_OF_ORDER = "out_of_order"
FINAL = "final"
MISSING_AMOUNT = "missing_amount"


@dataclass(frozen=True, slots=True)
class Moments:
    """Of which moments a network's words are, as far as it says: of the one that counts, of its
    first approval and of its last rejection."""

    counted: datetime | None = None
    approved: datetime | None = None
    rejected: datetime | None = None

    def with_word(self, status: Status, at: datetime | None, *, counts: bool) -> "Moments":
        """After a word of the moment `at`; one that does not count is remembered all the same."""
        if at is None:
            return self
        found = replace(self, counted=at) if counts else self
        if status == Status.APPROVED:
            return replace(found, approved=min(at, self.approved or at))
        if status == Status.REJECTED:
            return replace(found, rejected=max(at, self.rejected or at))
        return found

    @property
    def taken_back(self) -> bool:
        """Whether a rejection came after an approval, in whatever order we heard of them."""
        return bool(self.approved and self.rejected and self.approved < self.rejected)


UNDATED = Moments()


@dataclass(frozen=True, slots=True)
class State:
    """What we believe of a conversion. `said_micro`: see `Conversion`."""

    status: Status
    amount_micro: int
    said_micro: int | None = None
    moments: Moments = UNDATED


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

    `changed_at` is of which moment the word is, where the network says so. Then a conversion ends
    the same in whatever order its words come: an older word changes nothing, unless it ends what
    is pending or shows that a rejection took an approval back. Networks that say no time are
    believed in the order in which they speak: a repeat that comes late cannot be told from an
    amount that was put right again.
    """
    if state is None:
        return _begun(status, amount_micro)
    if state.status == Status.REVERSED:
        return _kept(state, ALREADY_KNOWN if status == Status.REVERSED else FINAL)
    if _takes_back(state, status, changed_at):
        return Step(Result.OK, None, Status.REVERSED, state.amount_micro)
    if _is_late(state, status, changed_at):
        return _kept(state, OUT_OF_ORDER)
    if state.status == Status.REJECTED:
        return _rejected(state, status, amount_micro)
    if status == Status.REJECTED:
        return Step(Result.OK, None, status, state.amount_micro)
    amount = state.amount_micro if amount_micro is None else amount_micro
    if status == state.status and amount in {state.amount_micro, state.said_micro}:
        return _kept(state, ALREADY_KNOWN)
    return Step(Result.OK, None, status, amount)


def _takes_back(state: State, status: Status, changed_at: datetime | None) -> bool:
    """Whether it is a reversal by name, or a rejection and an approval that it followed."""
    if status == Status.REVERSED:
        return True
    if state.moments.with_word(status, changed_at, counts=False).taken_back:
        return True
    rejected = state.status == Status.APPROVED and status == Status.REJECTED
    return rejected and not _is_late(state, status, changed_at)


def _is_late(state: State, status: Status, changed_at: datetime | None) -> bool:
    """Whether more is known already. What was decided is so, before and after it is pending."""
    if Status.PENDING in {state.status, status} and state.status != status:
        return status == Status.PENDING
    known = state.moments.counted
    return known is not None and changed_at is not None and changed_at < known


def _begun(status: Status, amount_micro: int | None) -> Step:
    if amount_micro is None and status in {Status.PENDING, Status.APPROVED}:
        return Step(Result.QUARANTINED, MISSING_AMOUNT, status, 0)
    return Step(Result.OK, None, status, amount_micro or 0)


def _rejected(state: State, status: Status, amount_micro: int | None) -> Step:
    if status == Status.APPROVED:
        amount = state.amount_micro if amount_micro is None else amount_micro
        return Step(Result.OK, "approved_after_rejection", status, amount)
    return _kept(state, ALREADY_KNOWN)


def _kept(state: State, reason: str) -> Step:
    return Step(Result.DUPLICATE, reason, state.status, state.amount_micro)
