"""Many links out of a table, or out of another shortener's file: looked at first, then made."""

from typing import Annotated, Any

from fastapi import APIRouter, File, Form, Request, Response, UploadFile
from sqlalchemy.orm import Session

from flowlink.kernel import clock
from flowlink.kernel.errors import Invalid
from flowlink.partners.deps import CurrentPartner
from flowlink.tracking import bulk, domains, importers, table_text
from flowlink.tracking.importers import Format
from flowlink.web import csv
from flowlink.web.render import page
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)

FILE_MAX = 600_000

Text = Annotated[str, Form(max_length=FILE_MAX)]


class FileTooLarge(Invalid):
    message = "This file is too large: at most 600 kB, please."
    field = "csv"


class NotText(Invalid):
    message = "This file is not text."
    field = "csv"


@router.get("/partner/links/bulk")
def show_bulk(request: Request, session: Db, partner_id: CurrentPartner) -> Response:
    """Where a table is pasted or a file chosen."""
    return _page(request, session)


@router.get("/partner/links/bulk.csv")
def example(partner_id: CurrentPartner) -> Response:
    """The columns, with a row that shows each."""
    row = ["my-summer", "", "default", "", "summer, mail", "newsletter of June", "2027-12-31"]
    return csv.response("links.csv", bulk.HEADER, [row])


@router.post("/partner/links/bulk")
def take_bulk(
    request: Request,
    session: Db,
    partner_id: CurrentPartner,
    table: Text = "",
    form: Annotated[Format, Form()] = Format.FLOWLINK,
    domain: Annotated[str, Form(max_length=260)] = "",
    confirmed: Annotated[str, Form(max_length=5)] = "",
    file: Annotated[UploadFile | None, File()] = None,
) -> Response:
    """First what would become of each row; with `confirmed` it is done."""
    text = _text(file) or table
    rows = importers.read(text, form=form, domain=domain)
    handle = bulk.create if confirmed else bulk.preview
    outcomes = handle(session, partner_id=partner_id, rows=rows, now=clock.now())
    return _page(
        request,
        session,
        outcomes=outcomes,
        text=text,
        form=form,
        domain=domain,
        done=bool(confirmed),
    )


def _page(request: Request, session: Session, **context: object) -> Response:
    shown: dict[str, Any] = {
        "outcomes": None,
        "text": "",
        "form": Format.FLOWLINK,
        "domain": "",
        "done": False,
        "formats": list(Format),
        "domains": domains.active(session),
        "columns": ", ".join(bulk.HEADER),
        "rows_max": bulk.ROWS_MAX,
    }
    return page(request, "tracking/bulk.html", **(shown | context))


def _text(file: UploadFile | None) -> str:
    """The text of a file; nothing when none was chosen."""
    if file is None or not file.filename:
        return ""
    content = file.file.read(FILE_MAX + 1)
    if len(content) > FILE_MAX:
        raise FileTooLarge
    text = table_text.decoded(content)
    if text is None:
        raise NotText
    return text
