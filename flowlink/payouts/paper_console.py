"""Papers, as the operator sees, takes back and exports them."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request, Response
from pydantic import BaseModel

from flowlink.identity.deps import Operator, require_operator
from flowlink.kernel import clock, ids
from flowlink.papers import parties, queries as papers, service
from flowlink.papers.parties import Party
from flowlink.papers.service import UnknownPaper
from flowlink.payouts import invoices, statements, tax_report
from flowlink.payouts.paper_pages import HEADER, cells
from flowlink.web import csv, lists, pdf
from flowlink.web.forms import Line, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Format
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

PAPERS = "/admin/papers"

router = APIRouter(dependencies=[Depends(require_operator)], include_in_schema=False)


class CompanyForm(BaseModel):
    name: Line = ""
    street: Line = ""
    postcode: Line = ""
    city: Line = ""
    country: Line = ""
    vat_number: Line = ""
    registration: Line = ""


class CreditForm(BaseModel):
    reason: Paragraph = ""


class YearForm(BaseModel):
    year: int = 0


@router.get(PAPERS)
def show_papers(
    request: Request, session: Db, cursor: Cursor = None, format_: Format = ""
) -> Response:
    """Every invoice and credit note, the newest first, and who we are on them."""
    if format_ == "csv":
        every = papers.every(session, limit=CSV_SIZE)
        return csv.response("papers.csv", HEADER, map(cells, every))
    found = papers.every(session, before=lists.before(cursor), limit=SIZE + 1)
    shown = lists.cut(found, key=lambda paper: paper.id)
    return page(
        request,
        "payouts/all_papers.html",
        papers=shown,
        credits=papers.credits_of(session, shown.items),
        waiting=len(invoices.waiting(session)),
        company=service.company(session),
        countries=list(parties.countries(request.state.lang).items()),
        year=tax_report.this_year(clock.now()),
    )


@router.get(f"{PAPERS}/{{paper_id}}.pdf")
def paper_pdf(session: Db, paper_id: str) -> Response:
    paper = papers.get(session, ids.parse(invoices.PREFIX, paper_id))
    if paper is None:
        raise UnknownPaper
    return pdf.response(f"{paper.number}.pdf", paper.pdf)


@router.post(f"{PAPERS}/{{paper_id}}/credit")
def take_back(
    session: Db, operator: Operator, paper_id: str, form: Annotated[CreditForm, Form()]
) -> Response:
    """A credit note over the whole invoice; the next run writes a new one if money stands."""
    paper = papers.get(session, ids.parse(invoices.PREFIX, paper_id))
    if paper is None:
        raise UnknownPaper
    invoices.credit(
        session,
        paper=paper,
        reason=form.reason,
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PAPERS)


@router.post("/admin/company")
def keep_company(session: Db, operator: Operator, form: Annotated[CompanyForm, Form()]) -> Response:
    """Who we are on every paper from now on."""
    service.keep_company(
        session,
        party=Party(**form.model_dump()),
        actor=operator.label,
        now=clock.now(),
        ip=operator.ip,
    )
    return see_other(PAPERS)


@router.post("/admin/tax-report.csv")
def export_tax_report(
    session: Db, operator: Operator, form: Annotated[YearForm, Form()]
) -> Response:
    """A POST: tax numbers leave the house, and that is written down."""
    span = statements.year(form.year)
    rows = list(
        tax_report.rows(session, span=span, actor=operator.label, now=clock.now(), ip=operator.ip)
    )
    return csv.response(f"tax-report-{form.year}.csv", tax_report.HEADER, rows)
