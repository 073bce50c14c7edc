"""Banks' answers brought in: kept raw, matched by end-to-end id, each line applied once.

Twice, late and out of order change nothing: a line is known by its content, and its effect by
where the withdrawal stands. What matches nothing, or contradicts, waits for a person; of a
statement's lines only what may be about a payout, since an account has other business as well.
"""

import hashlib
import re
from collections import Counter
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db
from flowlink.kernel.errors import Invalid, NotFound
from flowlink.payouts import bank_files, outcomes, run_files
from flowlink.payouts.bank_files import Answer, Line
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.outcomes import Word
from flowlink.payouts.run_models import AnswerKind, BankFile, BankLine, LineOutcome, Run, RunItem

ACTOR = "bank"
_OURS = re.compile(r"(PAY|FL)[0-9A-Z]{26}(-[0-9]+)?")  # `runs` names orders and messages so
WAITING = (LineOutcome.UNMATCHED, LineOutcome.CONTRADICTION)


class NoFile(Invalid):
    message = "Please choose a file from your bank."
    field = "file"


class UnknownLine(NotFound):
    message = "There is no such line."


class NoteMissing(Invalid):
    message = "Please say what you found."
    field = "note"


@dataclass(frozen=True, slots=True)
class TakenIn:
    """What a file came to: how many of its lines are new, by what became of them."""

    file_id: UUID
    kind: AnswerKind
    lines: int
    became: Counter[str]

    @property
    def repeated(self) -> int:
        return self.lines - self.became.total()


def take_in(
    session: Session, *, body: bytes, name: str, actor: str, now: datetime, ip: str = ""
) -> TakenIn:
    """Read a bank's file and apply its lines; a second time nothing is new.

    :raises NoFile: it is empty. :raises bank_files.BadXml: not a file that we read.
    """
    if not body.strip():
        raise NoFile
    answer = bank_files.read(body)
    db.advisory_lock(session, "payouts.bank_answers")
    file = _kept(session, answer, body, name, actor, now)
    became: Counter[str] = Counter()
    for line in _new(session, answer):
        became[_apply(session, file, answer.kind, line, now)] += 1
    taken = TakenIn(file.id, answer.kind, len(answer.lines), became)
    facts = {"name": file.name, "sha256": file.sha256, "lines": taken.lines} | dict(became)
    audit.record(session, actor, "took in bank answer", str(answer.kind), now, ip, **facts)
    return taken


def look_at(
    session: Session, *, line_id: UUID, note: str, actor: str, now: datetime, ip: str = ""
) -> None:
    """A person has seen to a line that matched nothing, and says how.

    :raises UnknownLine: :raises NoteMissing:
    """
    if not note.strip():
        raise NoteMissing
    found = db.lock(session, BankLine, BankLine.id == line_id)
    if not found:
        raise UnknownLine
    found[0].looked_by, found[0].looked_at = actor, now
    found[0].looked_note = note.strip()[:500]
    audit.record(session, actor, "looked at bank line", str(line_id), now, ip, note=note.strip())


def _kept(
    session: Session, answer: Answer, body: bytes, name: str, actor: str, now: datetime
) -> BankFile:
    sha256 = hashlib.sha256(body).hexdigest()
    known = session.scalars(select(BankFile).where(BankFile.sha256 == sha256)).one_or_none()
    if known is not None:
        return known
    file = BankFile(
        kind=answer.kind,
        sha256=sha256,
        name=name.replace("\\", "/").rpartition("/")[2][:200],
        body=body,
        line_count=len(answer.lines),
        uploaded_by=actor,
        uploaded_at=now,
    )
    session.add(file)
    session.flush()  # its lines name it
    return file


def _new(session: Session, answer: Answer) -> list[Line]:
    """Each line once, without those that came before."""
    lines = {line.key: line for line in answer.lines}
    rows = select(BankLine.key).where(BankLine.key.in_(list(lines)))
    for key in session.scalars(rows):
        del lines[key]
    return list(lines.values())


def _apply(
    session: Session, file: BankFile, kind: AnswerKind, line: Line, now: datetime
) -> LineOutcome:
    words = _words(session, kind, line)
    became = outcomes.apply(session, words=words, actor=ACTOR, now=now)
    outcome = _outcome(line, became)
    if outcome is LineOutcome.UNMATCHED and kind is AnswerKind.STATEMENT:
        outcome = outcome if _may_be_ours(session, line) else LineOutcome.NOTED
    item = session.scalars(
        select(RunItem).where(RunItem.end_to_end_id == line.end_to_end_id)
    ).one_or_none()
    session.add(
        BankLine(
            file_id=file.id,
            key=line.key,
            end_to_end_id=line.end_to_end_id or line.batch,
            says=line.says,
            amount_minor=line.cents,
            currency=line.currency,
            booked_on=line.booked_on,
            reference=line.reference,
            reason=line.reason,
            withdrawal_id=item.withdrawal_id if item else None,
            outcome=outcome,
        )
    )
    return outcome


def _outcome(line: Line, became: list[outcomes.Became | None]) -> LineOutcome:
    """The worst of what a line came to; one about nobody is for a person, unless it is no order."""
    said = {one for one in became if one is not None}
    if outcomes.Became.CONTRADICTION in said:
        return LineOutcome.CONTRADICTION
    if not said:
        return LineOutcome.UNMATCHED
    order = (outcomes.Became.APPLIED, outcomes.Became.NOTED, outcomes.Became.KNOWN)
    return LineOutcome(next(one for one in order if one in said).value)


def _may_be_ours(session: Session, line: Line) -> bool:
    """Whether a booking that matches nothing may be about a payout: it bears a name as we give
    them, brings money back, or takes as much as a payment or a file that is on its way.
    """
    if _OURS.fullmatch(line.end_to_end_id or line.batch) or line.reason:
        return True
    if line.says != bank_files.DEBIT:
        return False
    sent = (
        select(RunItem.run_id)
        .join(Run, Run.id == RunItem.run_id)
        .join(Withdrawal, Withdrawal.id == RunItem.withdrawal_id)
        .where(Run.rail == Rail.BANK, Withdrawal.state == State.SENT, RunItem.left_at.is_(None))
        .where(or_(RunItem.amount_minor == line.cents, Run.total_minor == line.cents))
    )
    return session.scalars(sent.limit(1)).first() is not None


def _words(session: Session, kind: AnswerKind, line: Line) -> list[Word]:
    names = [line.end_to_end_id] if line.end_to_end_id else _of_batch(session, line)
    if kind is AnswerKind.STATUS_REPORT:
        names = _by_bank(session, names)
    elif not _booking_fits(session, line, names):
        return []
    state = _state(kind, line)
    return [
        Word(
            name,
            state,
            says=line.says,
            reference=line.reference or name,
            reason=line.reason or bank_files.REASONS["MS03"],
            late=True,
        )
        for name in names
    ]


def _state(kind: AnswerKind, line: Line) -> State | None:
    if kind is AnswerKind.STATUS_REPORT:
        return State.FAILED if line.says == bank_files.REJECTED else None
    return State.RETURNED if line.says == bank_files.RETURN else State.SETTLED


def _of_batch(session: Session, line: Line) -> list[str]:
    """All the items of the message that a line speaks of as a whole."""
    runs = select(Run).where(Run.message_id == line.batch, Run.rail == Rail.BANK)
    run = session.scalars(runs).one_or_none() if line.batch else None
    return [item.end_to_end_id for item in run_files.live(session, run)] if run else []


def _by_bank(session: Session, names: list[str]) -> list[str]:
    """Those that left by bank: no bank's word says what PayPal does."""
    rows = select(RunItem.end_to_end_id).join(Run, Run.id == RunItem.run_id)
    mine = RunItem.end_to_end_id.in_(names), Run.rail == Rail.BANK
    return list(session.scalars(rows.where(*mine).order_by(RunItem.end_to_end_id)))


def _booking_fits(session: Session, line: Line, names: list[str]) -> bool:
    """A booking is the item's when its sum is, to the cent and in the same currency, and it stands
    on the account that pays: on the receiver's it says the opposite.
    """
    rows = select(RunItem.amount_minor, Run.currency, Run.rail, Run.debtor_iban)
    joined = rows.join(Run, Run.id == RunItem.run_id)
    found = session.execute(joined.where(RunItem.end_to_end_id.in_(names))).all()
    if line.count is not None and line.count != len(found):
        return False
    if line.iban and any(row.debtor_iban != line.iban for row in found):
        return False
    return (
        bool(found)
        and sum(row.amount_minor for row in found) == line.cents
        and {(row.currency, row.rail) for row in found} == {(line.currency, Rail.BANK)}
        and line.says in {bank_files.DEBIT, bank_files.RETURN}
    )
