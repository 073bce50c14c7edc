"""Payout runs: proposed, then released by somebody else, or given up.

Everything of a run happens under the locks of its withdrawals, then of their partners' standings:
a hold that is being placed is waited for, and its partner is not in the run.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import schwifty
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.identity.ids import UserId
from flowlink.kernel import audit, db, events, ids as public_ids, settings
from flowlink.kernel.errors import Forbidden, NotFound, Refused
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner
from flowlink.payouts import debts, ids, run_files, sepa, tax, withdrawals
from flowlink.payouts.models import Method, Rail, State, Withdrawal
from flowlink.payouts.run_models import Run, RunItem, RunState
from flowlink.risk import service as risk
from flowlink.web.i18n import mark

PREFIX = "run"
ITEMS_MAX = 5000  # PayPal takes 15,000 in a batch; a file of 5,000 is one that a person can look at
NOTICE = timedelta(days=2)  # for whoever releases a SEPA run, before its execution day

LEFT_OUT = mark("Left out of this payout run; it waits for the next one.")


class UnknownRun(NotFound):
    message = "There is no such payout run."


class RailNotSetUp(Refused):
    message = "Payouts by this way are not set up: %(settings)s."


class NothingToPay(Refused):
    message = "No approved withdrawal waits for a run of this kind."


class RunClosed(Refused):
    message = "This payout run was released or cancelled already."


class RunChanged(Refused):
    message = "This payout run has changed since you looked at it. Please look again."


class RunTooOld(Refused):
    message = "The execution day of this payout run has passed. Cancel it and propose another."


class RunEmpty(Refused):
    message = "Nobody is left in this payout run. Cancel it."


class OwnRun(Forbidden):
    message = (
        "Whoever made a payout run, or is paid by it, cannot release it. Somebody else has to."
    )


def public(run_id: UUID) -> str:
    """`run_…`, as people and scripts see it."""
    return public_ids.public(PREFIX, run_id)


def parse(text: str) -> UUID:
    """:raises NotFound: not a run's public id."""
    return public_ids.parse(PREFIX, text)


def missing_settings(rail: Rail) -> str:
    """What has to be set before this rail can pay; empty when it can."""
    chosen = settings.current()
    if rail == Rail.BANK:
        iban = schwifty.IBAN(chosen.payout_debtor_iban, allow_invalid=True)
        bic = chosen.payout_debtor_bic
        needed = {
            "PAYOUT_DEBTOR_IBAN": iban.is_valid,
            "PAYOUT_DEBTOR_NAME": bool(chosen.payout_debtor_name),
            "PAYOUT_DEBTOR_BIC": not bic or schwifty.BIC(bic, allow_invalid=True).is_valid,
        }
    else:
        needed = {
            "PAYPAL_CLIENT_ID": bool(chosen.paypal_client_id),
            "PAYPAL_CLIENT_SECRET": bool(chosen.paypal_client_secret),
        }
    return ", ".join(name for name, value in needed.items() if not value)


def propose(
    session: Session,
    *,
    rail: Rail,
    actor: str,
    person: UserId | None = None,
    now: datetime,
    ip: str = "",
) -> Run:
    """Gather the approved withdrawals of one rail, without those that a hold or a debt stops.

    :raises RailNotSetUp: :raises NothingToPay:
    """
    if missing := missing_settings(rail):
        raise RailNotSetUp(settings=missing)
    chosen = _free(session, _approved(session, rail))
    if not chosen:
        raise NothingToPay
    run = _made(rail, chosen[0].currency, now)
    run.made_by, run.maker_id = actor, person
    session.add(run)
    session.flush()  # its message is named after its id
    run.message_id = f"FL{public(run.id).partition('_')[2].upper()}"
    holders, attempts = _holders(session, chosen), _attempts(session, chosen)
    for withdrawal in chosen:
        name = _end_to_end_id(withdrawal, attempts.get(withdrawal.id, 0))
        session.add(
            RunItem(
                run_id=run.id,
                withdrawal_id=withdrawal.id,
                end_to_end_id=name,
                amount_minor=withdrawal.amount_minor,
                holder=holders[withdrawal.id],
            )
        )
        withdrawals.move(session, withdrawal, State.IN_RUN, actor=actor, now=now)
    _count(session, run)
    _audit(session, run, "proposed payout run", actor, now, ip)
    return run


def release(
    session: Session,
    *,
    run_id: UUID,
    sha256: str,
    actor: str,
    person: UserId | None,
    now: datetime,
    ip: str = "",
) -> Run:
    """Let the run leave. Who is on hold or owes us by now is left out; from here each item is
    `unknown`.

    The state is committed before anything is sent: what was sent and not noted cannot exist.

    :raises UnknownRun: :raises RunClosed: :raises RunTooOld: :raises RunEmpty:
    :raises RunChanged: `sha256` is not the fingerprint of the file as it was shown.
    :raises OwnRun: the same person made it, or is paid by it (a constraint of the table, too).
    """
    run = _locked(session, run_id)
    if sha256 != run.sha256:
        raise RunChanged
    if run.made_by == actor or (person is not None and run.maker_id == person):
        raise OwnRun
    if run.execute_on < now.date():
        raise RunTooOld
    inside = _withdrawals(session, run)
    if any(withdrawal.requester_id == person for withdrawal in inside):
        raise OwnRun
    free = _free(session, inside)
    _leave(session, run, set(inside) - set(free), actor=actor, now=now)
    if not free:
        raise RunEmpty
    _count(session, run)
    run.state, run.released_by, run.releaser_id = RunState.RELEASED, actor, person
    run.released_at, run.sealed_file = now, run_files.seal(session, run)
    run.next_try_at = now if run.rail == Rail.PAYPAL else None
    for withdrawal in free:
        withdrawals.move(session, withdrawal, State.SENT, actor=actor, now=now)
    _audit(session, run, "released payout run", actor, now, ip)
    events.emit(session, "payout_run.released", {"run_id": str(run.id)})
    return run


def cancel(session: Session, *, run_id: UUID, actor: str, now: datetime, ip: str = "") -> Run:
    """Give a proposed run up: its withdrawals wait for the next one.

    :raises UnknownRun: :raises RunClosed:
    """
    run = _locked(session, run_id)
    inside = _withdrawals(session, run)
    _leave(session, run, set(inside), actor=actor, now=now)
    run.state, run.cancelled_by, run.cancelled_at = RunState.CANCELLED, actor, now
    _audit(session, run, "cancelled payout run", actor, now, ip)
    return run


def leave_out(session: Session, *, partner_id: PartnerId, actor: str, now: datetime) -> int:
    """Take a held partner's withdrawals out of the runs that are not released; returns how many."""
    waiting = (
        select(RunItem.run_id)
        .join(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .where(Withdrawal.partner_id == partner_id, Withdrawal.state == State.IN_RUN)
    )
    left = 0
    for run in db.lock(session, Run, Run.id.in_(waiting), Run.state == RunState.PROPOSED):
        inside = _withdrawals(session, run)
        held = set(inside) - set(_free_of_holds(session, inside))
        left += len(held)
        if held:
            _leave(session, run, held, actor=actor, now=now)
            _count(session, run)
    return left


def _made(rail: Rail, currency: str, now: datetime) -> Run:
    """An empty run. The owner's account is kept with it: its file stays the same for ever."""
    owner = settings.current()
    bank = rail == Rail.BANK
    return Run(
        rail=rail,
        currency=currency,
        state=RunState.PROPOSED,
        execute_on=sepa.business_day(now.date() + NOTICE),
        item_count=0,
        total_minor=0,
        sha256="",
        debtor_name=owner.payout_debtor_name if bank else "",
        debtor_iban=owner.payout_debtor_iban if bank else "",
        debtor_bic=owner.payout_debtor_bic if bank else "",
        made_at=now,
    )


def _locked(session: Session, run_id: UUID) -> Run:
    found = db.lock(session, Run, Run.id == run_id)
    if not found:
        raise UnknownRun
    if found[0].state != RunState.PROPOSED:
        raise RunClosed
    return found[0]


def _approved(session: Session, rail: Rail) -> Sequence[Withdrawal]:
    """The oldest first, locked: nobody pays or rejects them meanwhile."""
    waiting = (
        select(Withdrawal.id)
        .join(Method, Method.id == Withdrawal.method_id)
        .where(
            Withdrawal.state == State.APPROVED, Method.rail == rail, Withdrawal.currency == "EUR"
        )
        .order_by(Withdrawal.id)
        .limit(ITEMS_MAX)
    )
    keys = session.scalars(waiting).all()
    return db.lock(session, Withdrawal, Withdrawal.id.in_(keys), Withdrawal.state == State.APPROVED)


def _withdrawals(session: Session, run: Run) -> Sequence[Withdrawal]:
    keys = select(RunItem.withdrawal_id).where(RunItem.run_id == run.id, RunItem.left_at.is_(None))
    return db.lock(session, Withdrawal, Withdrawal.id.in_(keys))


def _free(session: Session, inside: Sequence[Withdrawal]) -> list[Withdrawal]:
    """Those that may be paid: neither a hold nor a debt that nobody has seen stops them."""
    return debts.free(session, _free_of_holds(session, inside))


def _free_of_holds(session: Session, inside: Sequence[Withdrawal]) -> list[Withdrawal]:
    """Those whose partner no hold binds, read under the lock that placing one takes."""
    partner_ids = {PartnerId(withdrawal.partner_id) for withdrawal in inside}
    held = risk.lock_holds(session, partner_ids=partner_ids)
    return [each for each in inside if each.partner_id not in held]


def _leave(
    session: Session, run: Run, leaving: set[Withdrawal], *, actor: str, now: datetime
) -> None:
    for item in run_files.live(session, run):
        if any(item.withdrawal_id == withdrawal.id for withdrawal in leaving):
            item.left_at = now
    for withdrawal in sorted(leaving, key=lambda each: each.id):
        withdrawals.move(session, withdrawal, State.APPROVED, actor=actor, now=now, why=LEFT_OUT)


def _count(session: Session, run: Run) -> None:
    """Bring totals and fingerprint up to date with the items that are in the run."""
    session.flush()
    items = run_files.live(session, run)
    run.item_count = len(items)
    run.total_minor = sum(item.amount_minor for item in items)
    run.sha256 = run_files.of(session, run).sha256 if items else ""
    session.flush()


def _end_to_end_id(withdrawal: Withdrawal, attempt: int) -> str:
    """At most 35 characters that every bank and PayPal take, the same each time (ISO 20022)."""
    name = ids.public(withdrawal.id).partition("_")[2].upper()
    return f"PAY{name}{f'-{attempt}' if attempt else ''}"


def _attempts(session: Session, chosen: Sequence[Withdrawal]) -> dict[UUID, int]:
    """How many runs each withdrawal was in before."""
    rows = (
        select(RunItem.withdrawal_id, func.count())
        .where(RunItem.withdrawal_id.in_([each.id for each in chosen]))
        .group_by(RunItem.withdrawal_id)
    )
    return {row[0]: row[1] for row in session.execute(rows)}


def _holders(session: Session, chosen: Sequence[Withdrawal]) -> dict[UUID, str]:
    """In whose name each is paid: the name on the partner's papers, which the invoice bears too,
    else the account's holder as they gave it; without either their handle stands in.
    """
    legal = tax.profiles(session, {PartnerId(each.partner_id) for each in chosen})
    rows = (
        select(Withdrawal.id, Method.holder, Partner)
        .join(Method, Method.id == Withdrawal.method_id)
        .join(Partner, Partner.id == Withdrawal.partner_id)
        .where(Withdrawal.id.in_([each.id for each in chosen]))
    )
    return {
        key: legal[PartnerId(partner.id)].party.name
        if PartnerId(partner.id) in legal
        else holder or partner.shown_as
        for key, holder, partner in session.execute(rows)
    }


def _audit(session: Session, run: Run, action: str, actor: str, now: datetime, ip: str) -> None:
    facts = {"items": run.item_count, "total": str(run.total), "sha256": run.sha256}
    audit.record(session, actor, action, public(run.id), now, ip, **facts)
