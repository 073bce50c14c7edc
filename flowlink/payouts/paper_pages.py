"""A partner's papers: tax details, statements, advices, invoices."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from pydantic import BaseModel

from flowlink.kernel import clock, ids
from flowlink.papers import drawing, parties, queries as papers
from flowlink.papers.models import Paper
from flowlink.papers.parties import Party
from flowlink.papers.service import UnknownPaper
from flowlink.partners.deps import CurrentPartner
from flowlink.partners.ids import PartnerId
from flowlink.payouts import ids as payout_ids, invoices, queries, statements, tax
from flowlink.payouts.statements import NoAdvice, Span
from flowlink.payouts.tax import BadBirthDate
from flowlink.web import csv, lists, pdf
from flowlink.web.forms import CheckboxField, Line
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

PAPERS = "/partners/papers"
DETAILS = "/partners/tax"
MONTHS_SHOWN = 24

router = APIRouter(include_in_schema=False)

HEADER = ("number", "kind", "issued_on", "net", "vat", "total", "currency", "about", "takes_back")


class DetailsForm(BaseModel):
    name: Line = ""
    street: Line = ""
    postcode: Line = ""
    city: Line = ""
    country: Line = ""
    business: CheckboxField = False
    vat_number: Line = ""
    registration: Line = ""
    tax_number: Line = ""
    birth_date: Line = ""
    mandate: CheckboxField = False

    def party(self) -> Party:
        return Party(
            name=self.name,
            street=self.street,
            postcode=self.postcode,
            city=self.city,
            country=self.country,
            vat_number=self.vat_number,
            registration=self.registration,
            business=self.business,
        )

    def born(self) -> date | None:
        """:raises BadBirthDate: not a day."""
        try:
            return date.fromisoformat(self.birth_date) if self.birth_date else None
        except ValueError:
            raise BadBirthDate from None


@router.get(PAPERS)
def show_papers(
    request: Request, session: Db, partner_id: CurrentPartner, cursor: Cursor = None
) -> Response:
    """Invoices, statements month by month, and what is missing for them."""
    now = clock.now()
    found = papers.of_owner(session, partner_id, before=lists.before(cursor), limit=SIZE + 1)
    shown = lists.cut(found, key=lambda paper: paper.id)
    months = statements.months(session, partner_id, now=now)
    return page(
        request,
        "payouts/papers.html",
        papers=shown,
        credits=papers.credits_of(session, shown.items),
        months=months[:MONTHS_SHOWN],
        years=sorted({span.since.year for span in months}, reverse=True),
        profile=tax.current(session, partner_id),
        mandate=tax.MANDATE,
    )


@router.get(f"{PAPERS}.csv")
def papers_csv(session: Db, partner_id: CurrentPartner) -> Response:
    found = papers.of_owner(session, partner_id, limit=CSV_SIZE)
    return csv.response("papers.csv", HEADER, map(cells, found))


@router.get(f"{PAPERS}/{{paper_id}}.pdf")
def paper_pdf(session: Db, partner_id: CurrentPartner, paper_id: str) -> Response:
    """An invoice or credit note as it was issued."""
    paper = papers.get(session, ids.parse(invoices.PREFIX, paper_id))
    if paper is None or paper.owner != partner_id:
        raise UnknownPaper
    return pdf.response(f"{paper.number}.pdf", paper.pdf)


@router.get("/partners/statements/{year}-{month}.pdf")
def month_pdf(
    request: Request, session: Db, partner_id: CurrentPartner, year: int, month: int
) -> Response:
    return _statement(request, session, partner_id, statements.month(year, month))


@router.get("/partners/statements/{year}.pdf")
def year_pdf(request: Request, session: Db, partner_id: CurrentPartner, year: int) -> Response:
    return _statement(request, session, partner_id, statements.year(year))


@router.get("/partners/withdrawals/{withdrawal_id}/advice.pdf")
def advice_pdf(
    request: Request, session: Db, partner_id: CurrentPartner, withdrawal_id: str
) -> Response:
    """What was sent, where to, and under which reference."""
    line = queries.withdrawal(session, payout_ids.parse(withdrawal_id))
    if line.partner_id != partner_id:
        raise NoAdvice
    sheet = statements.advice(session, line=line, lang=request.state.lang)
    return pdf.response(f"{withdrawal_id}.pdf", drawing.pdf(sheet, at=line.updated_at))


@router.get(DETAILS)
def show_details(request: Request, session: Db, partner_id: CurrentPartner) -> Response:
    """Who I am on paper, and the mandate to write invoices in my name."""
    return page(
        request,
        "payouts/tax.html",
        profile=tax.current(session, partner_id),
        countries=list(parties.countries(request.state.lang).items()),
        mandate=tax.MANDATE,
    )


@router.post(DETAILS)
def keep_details(
    session: Db, partner_id: CurrentPartner, form: Annotated[DetailsForm, Form()]
) -> Response:
    tax.keep(
        session,
        partner_id=partner_id,
        party=form.party(),
        tax_number=form.tax_number,
        birth_date=form.born(),
        mandate=form.mandate,
        now=clock.now(),
    )
    return see_other(PAPERS)


def cells(paper: Paper) -> tuple[object, ...]:
    """A paper as a row of the CSV; a credit note's amounts are negative."""
    sign = -1 if paper.credits_id else 1
    return (
        paper.number,
        str(paper.kind),
        paper.issued_on.isoformat(),
        paper.net * sign,
        paper.vat * sign,
        paper.total * sign,
        paper.currency,
        paper.facts.get("withdrawal") or paper.facts.get("payment", ""),
        paper.facts.get("credits", ""),
    )


def _statement(request: Request, session: Db, partner_id: PartnerId, span: Span) -> Response:
    now = clock.now()
    lang = request.state.lang
    sheet = statements.statement(session, partner_id=partner_id, span=span, lang=lang, now=now)
    return pdf.response(f"statement-{span.since:%Y-%m}.pdf", drawing.pdf(sheet, at=now))
