"""Banks' answers, as the operator brings them in and sees to what matches nothing."""

from typing import Annotated

from fastapi import APIRouter, Depends, File, Form, Request, Response, UploadFile
from pydantic import BaseModel

from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock, ids as public_ids
from flowlink.payouts import bank_answers, ids, run_queries
from flowlink.payouts.ids import BANK_FILE, BANK_LINE
from flowlink.payouts.run_models import BankLine
from flowlink.web import csv, lists
from flowlink.web.forms import Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Format, One
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

ANSWERS = "/ops/payouts/answers"

router = APIRouter(
    prefix=ANSWERS, dependencies=[Depends(require_operator)], include_in_schema=False
)


class NoteForm(BaseModel):
    note: Paragraph = ""


@router.get("")
def show_answers(
    request: Request,
    session: Db,
    file: One = "",
    line: One = "",
    cursor: Cursor = None,
    format_: Format = "",
) -> Response:
    """What waits for a person, or the lines of one file; and the way to bring a file in."""
    file_id = public_ids.parse(BANK_FILE, file) if file else None
    waiting = file_id is None
    if format_ == "csv":
        every = run_queries.bank_lines(session, waiting=waiting, file_id=file_id, limit=CSV_SIZE)
        return csv.response("bank-lines.csv", _HEADER, (_cells(line) for line in every))
    found = run_queries.bank_lines(
        session,
        waiting=waiting,
        file_id=file_id,
        only=public_ids.parse(BANK_LINE, line) if line else None,
        before=lists.before(cursor),
        limit=SIZE + 1,
    )
    return page(
        request,
        "payouts/answers.html",
        lines=lists.cut(found, key=lambda line: line.id),
        files=run_queries.bank_files(session),
        file=file,
        only=line,
    )


@router.get("/files.csv")
def files_csv(session: Db) -> Response:
    """Every file that was taken in."""
    rows = (
        (public_ids.public(BANK_FILE, one.id), one.name, one.kind, one.line_count, one.uploaded_at)
        for one in run_queries.bank_files(session, limit=CSV_SIZE)
    )
    return csv.response("bank-files.csv", ["file", "name", "kind", "lines", "taken_in_at"], rows)


@router.post("")
def take_in(
    session: Db, operator: Operator, file: Annotated[UploadFile | None, File()] = None
) -> Response:
    taken = bank_answers.take_in(
        session,
        body=file.file.read() if file else b"",
        name=(file.filename or "") if file else "",
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(f"{ANSWERS}?file={public_ids.public(BANK_FILE, taken.file_id)}")


@router.post("/{line_id}/seen")
def look_at(
    session: Db, operator: Operator, line_id: str, form: Annotated[NoteForm, Form()]
) -> Response:
    bank_answers.look_at(
        session,
        line_id=public_ids.parse(BANK_LINE, line_id),
        note=form.note,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(ANSWERS)


_HEADER = ["line", "says", "end_to_end_id", "amount_cents", "currency", "booked_on", "reference",
           "reason", "withdrawal", "outcome", "looked_by", "note"]  # fmt: skip


def _cells(line: BankLine) -> tuple[object, ...]:
    return (
        public_ids.public(BANK_LINE, line.id),
        line.says,
        line.end_to_end_id,
        line.amount_minor,
        line.currency,
        line.booked_on,
        line.reference,
        line.reason,
        ids.public(line.withdrawal_id) if line.withdrawal_id else "",
        str(line.outcome),
        line.looked_by,
        line.looked_note,
    )
