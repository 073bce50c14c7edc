"""Invoices, credit notes, statements and the yearly report, read back from their files."""

import re
from datetime import UTC, datetime, timedelta
from io import BytesIO
from threading import Barrier, Thread

import pytest
from fastapi.testclient import TestClient
from pypdf import PdfReader
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.kernel import clock, db, ids, jobs
from flowlink.papers import drawing, queries as papers, service
from flowlink.papers.models import Paper
from flowlink.papers.parties import Party
from flowlink.payouts import invoices, statements, tax
from flowlink.payouts.models import State, Withdrawal
from tests.factories import Person, make_operator, make_partner, sign_in
from tests.payouts import acts
from tests.payouts.makers import DAY, assert_clean, earn

US = Party("Flowlink SAS", "1 rue du Port", "75001", "Paris", "FR", "FR40303265045")
HTML = {"accept": "text/html", "accept-language": "en"}
DETAILS = {
    "name": "Ada Łovelace & fils",
    "street": "2 rue de l'Été",
    "postcode": "69001",
    "city": "Lyon",
    "country": "FR",
    "business": "on",
    "vat_number": "",
    "registration": "SIREN 404 833 048",
    "tax_number": "1234567890123",
    "mandate": "on",
}


def read(file: bytes) -> str:
    """The file's text as a reader copies it, with plain spaces."""
    pages = PdfReader(BytesIO(file)).pages
    return re.sub(r"\s+", " ", " ".join(page.extract_text() for page in pages))


def agree(session: Session, person: Person, *, vat_number: str = "", mandate: bool = True) -> None:
    tax.keep(
        session,
        partner_id=person.partner_id,
        party=Party("Ada & fils", "2 rue de l'Été", "69001", "Lyon", "FR", vat_number),
        tax_number="1234567890123",
        birth_date=None,
        mandate=mandate,
        now=DAY,
    )


def company(session: Session) -> None:
    service.keep_company(session, party=US, actor="test", now=DAY)


def paid(session: Session, *, vat_number: str = "") -> tuple[Person, Withdrawal]:
    """A partner who agreed, whose withdrawal of 20.00 arrived."""
    company(session)
    ada = make_partner(session, available="50.00")
    agree(session, ada, vat_number=vat_number)
    return ada, acts.in_state(session, ada, State.SETTLED)


def issue(session: Session, withdrawal: Withdrawal) -> Paper:
    paper = invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY)
    assert paper is not None
    return paper


def test_a_payout_that_arrived_gets_its_invoice(session: Session) -> None:
    _, withdrawal = paid(session)

    paper = issue(session, withdrawal)

    told = read(paper.pdf)
    assert "Facture SB-2026-00001" in told
    assert "Autofacturation" in told
    assert "Ada & fils" in told
    assert "2 rue de l'Été" in told
    assert "N° TVA FR40303265045" in told
    assert f"Versement {paper.facts['withdrawal']}" in told
    assert "TVA non applicable, art. 293 B du CGI" in told
    assert "20,00 €" in told
    assert (paper.net, paper.vat, paper.total) == (withdrawal.amount, paper.vat, withdrawal.amount)
    assert invoices.waiting(session) == []


def test_who_charges_vat_has_it_within_the_payout(session: Session) -> None:
    _, withdrawal = paid(session, vat_number="FR83404833048")

    paper = issue(session, withdrawal)

    assert (str(paper.net), str(paper.vat)) == ("16.67 EUR", "3.33 EUR")
    assert "TVA 20 % 3,33 €" in read(paper.pdf)
    assert "293 B" not in read(paper.pdf)


def test_without_word_or_details_nothing_is_issued(session: Session) -> None:
    ada = make_partner(session, available="50.00")
    withdrawal = acts.in_state(session, ada, State.SETTLED)

    assert invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY) is None
    company(session)
    assert invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY) is None
    agree(session, ada, mandate=False)
    assert invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY) is None
    assert invoices.waiting(session) == []
    agree(session, ada)
    assert [each.id for each in invoices.waiting(session)] == [withdrawal.id]
    assert invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY) is not None


@pytest.mark.parametrize("state", [State.REQUESTED, State.APPROVED, State.SENT, State.FAILED])
def test_what_did_not_arrive_has_no_invoice(session: Session, state: State) -> None:
    company(session)
    ada = make_partner(session, available="50.00")
    agree(session, ada)
    withdrawal = acts.in_state(session, ada, state)

    assert invoices.issue(session, withdrawal_id=withdrawal.id, now=DAY) is None
    assert papers.every(session) == []


def test_an_invoice_is_taken_back_once_and_written_anew(session: Session) -> None:
    ada, withdrawal = paid(session)
    first = issue(session, withdrawal)
    agree(session, ada, vat_number="FR83404833048")

    note = invoices.credit(session, paper=first, reason="VAT number", actor="test", now=DAY)
    with pytest.raises(service.CreditedAlready):
        invoices.credit(session, paper=first, reason="again", actor="test", now=DAY)
    with pytest.raises(service.UnknownPaper):
        invoices.credit(session, paper=note, reason="again", actor="test", now=DAY)
    with pytest.raises(invoices.ReasonMissing):
        invoices.credit(session, paper=first, reason=" ", actor="test", now=DAY)
    second = issue(session, withdrawal)

    assert (note.number, note.total) == ("CN-2026-00001", first.total)
    assert "Avoir CN-2026-00001" in read(note.pdf)
    assert "SB-2026-00001" in read(note.pdf)
    assert "Autofacturation : facture établie par le client" in read(note.pdf)
    assert "Acquittée" not in read(note.pdf)
    assert second.number == "SB-2026-00002"
    assert str(second.vat) == "3.33 EUR"
    assert papers.problems(session) == []


def test_the_job_issues_and_takes_back_by_itself(database: str) -> None:
    registry.load()
    with db.write() as session:
        _, withdrawal = paid(session)

    first = jobs.JOBS["papers_issue"].run(clock.now())
    again = jobs.JOBS["papers_issue"].run(clock.now())
    with db.write() as session:
        acts.give_back(session, session.get_one(Withdrawal, withdrawal.id))
    back = jobs.JOBS["papers_issue"].run(clock.now())
    still = jobs.JOBS["papers_issue"].run(clock.now())

    assert first == "1 invoices and 0 credit notes issued"
    assert again == still == "0 invoices and 0 credit notes issued"
    assert back == "0 invoices and 1 credit notes issued"
    with db.read() as session:
        assert papers.problems(session) == []


def test_two_runs_at_once_write_one_invoice(database: str) -> None:
    with db.write() as session:
        _, withdrawal = paid(session)
    start = Barrier(4)

    def work() -> None:
        start.wait()
        with db.write() as session:
            invoices.issue(session, withdrawal_id=withdrawal.id, now=clock.now())

    threads = [Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    with db.read() as session:
        assert len(papers.every(session)) == 1


def test_a_statement_says_what_the_ledger_says(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    acts.in_state(session, ada, State.SETTLED)
    span = statements.month(2026, 11)

    sheet = statements.statement(
        session, partner_id=ada.partner_id, span=span, lang="en", now=DAY + timedelta(days=60)
    )

    told = read(drawing.pdf(sheet, at=DAY))
    assert "Statement 2026-11" in told
    assert "Commissions €42.00" in told
    assert "kept in reserve at first €18.00" in told
    assert "Paid out -€20.00" in told
    assert "Balance before €0.00" in told
    assert "Balance after €40.00" in told
    assert_clean(session)


def test_a_statement_begins_where_the_last_one_ended(session: Session) -> None:
    ada = make_partner(session)
    earn(session, ada, "100.00")
    acts.in_state(session, ada, State.SETTLED)
    later = DAY + timedelta(days=400)

    def balances(year: int, month: int) -> list[str]:
        sheet = statements.statement(
            session,
            partner_id=ada.partner_id,
            span=statements.month(year, month),
            lang="en",
            now=later,
        )
        return [amount for _, amount in sheet.totals]

    assert balances(2026, 10) == ["€0.00", "€0.00"]
    assert balances(2026, 11) == ["€0.00", "€40.00"]
    assert balances(2026, 12) == ["€40.00", "€40.00"]
    whole = statements.statement(
        session, partner_id=ada.partner_id, span=statements.year(2026), lang="fr", now=later
    )
    assert "Récapitulatif annuel 2026" in read(drawing.pdf(whole, at=DAY))


@pytest.mark.parametrize(("year", "month"), [(2026, 13), (2026, 0), (1999, 1), (99999, 1)])
def test_an_odd_month_has_no_statement(
    client: TestClient, session: Session, year: int, month: int
) -> None:
    sign_in(client, make_partner(session))

    answer = client.get(f"/partners/statements/{year}-{month}.pdf", headers=HTML)

    assert answer.status_code == 404


def test_a_partner_opens_their_papers_and_nobody_elses(
    client: TestClient, session: Session
) -> None:
    ada, withdrawal = paid(session)
    paper = issue(session, withdrawal)
    path = f"/partners/papers/{invoices.public(paper)}.pdf"
    advice = f"/partners/withdrawals/{ids.public('pay', withdrawal.id)}/advice.pdf"
    sign_in(client, ada)

    shown = client.get("/partners/papers", headers=HTML)
    listed = client.get("/partners/papers.csv")

    assert paper.number in shown.text
    assert f"{paper.number},self_billing" in listed.text
    assert read(client.get(path).content).startswith("Facture SB-2026-00001")
    assert "20.00" in read(client.get(advice, headers=HTML).content)
    assert client.get("/partners/statements/2026-11.pdf").content[:5] == b"%PDF-"

    note = invoices.credit(session, paper=paper, reason="address", actor="test", now=DAY)
    session.flush()
    assert f"Taken back by {note.number}" in client.get("/partners/papers", headers=HTML).text

    sign_in(client, make_partner(session, email="eve@example.org"))
    assert client.get(path).status_code == 404
    assert client.get(advice).status_code == 404
    assert paper.number not in client.get("/partners/papers", headers=HTML).text


def test_details_are_kept_sealed_and_shown_masked(client: TestClient, session: Session) -> None:
    ada = sign_in(client, make_partner(session))

    kept = client.post("/partners/tax", data=DETAILS, headers=HTML, follow_redirects=False)
    page = client.get("/partners/tax", headers=HTML)

    assert kept.status_code == 303
    assert "Ada Łovelace &amp; fils" in page.text
    assert "…123" in page.text
    assert "1234567890123" not in page.text
    profile = tax.current(session, ada.partner_id)
    assert profile is not None
    assert (profile.tax_number, profile.mandate) == ("1234567890123", tax.MANDATE)
    again = client.post("/partners/tax", data=DETAILS | {"tax_number": ""}, follow_redirects=False)
    assert again.status_code == 303
    later = tax.current(session, ada.partner_id)
    assert later is not None
    assert later.tax_number == "1234567890123"
    assert later.mandate_at == profile.mandate_at


@pytest.mark.parametrize(
    "wrong",
    [
        {"vat_number": "FR00000000000"},
        {"country": "ZZ"},
        {"name": ""},
        {"tax_number": "<script>"},
        {"birth_date": "2999-01-01"},
        {"birth_date": "yesterday"},
        {"birth_date": "1850-01-01"},
    ],
)
def test_wrong_details_change_nothing(
    client: TestClient, session: Session, wrong: dict[str, str]
) -> None:
    ada = sign_in(client, make_partner(session))

    answer = client.post("/partners/tax", data=DETAILS | wrong, headers=HTML)

    assert answer.status_code == 400
    assert tax.current(session, ada.partner_id) is None


def test_the_operator_says_who_we_are_and_takes_back(client: TestClient, session: Session) -> None:
    ada = make_partner(session, available="50.00")
    agree(session, ada)
    withdrawal = acts.in_state(session, ada, State.SETTLED)
    sign_in(client, make_operator(session))

    empty = client.get("/admin/papers", headers=HTML)
    kept = client.post("/admin/company", data=DETAILS | {"name": "Flowlink SAS"}, headers=HTML)
    paper = issue(session, withdrawal)
    path = f"/admin/papers/{invoices.public(paper)}"
    bare = client.post(f"{path}/credit", data={"reason": ""}, headers=HTML)
    done = client.post(f"{path}/credit", data={"reason": "wrong name"}, headers=HTML)

    assert "No invoice can be written yet" in empty.text
    assert "Flowlink SAS" in kept.text
    assert client.get(f"{path}.pdf").content[:5] == b"%PDF-"
    assert bare.status_code == 400
    assert "CN-2026-00001" in done.text


def test_the_yearly_report_has_every_quarter_and_what_is_missing(
    client: TestClient, session: Session
) -> None:
    ada, _ = paid(session)
    bo = make_partner(session, email="bo@example.org", available="50.00")
    acts.in_state(session, bo, State.SETTLED)
    acts.in_state(
        session, make_partner(session, email="cy@example.org", available="50.00"), State.RETURNED
    )
    sign_in(client, make_operator(session))

    report = client.post("/admin/tax-report.csv", data={"year": "2026"})
    other = client.post("/admin/tax-report.csv", data={"year": "2025"})

    lines = report.text.splitlines()
    assert len(lines) == 3
    mine = next(line for line in lines if ada.email in line)
    theirs = next(line for line in lines if bo.email in line)
    assert "1234567890123" in mine
    assert mine.endswith("0.00,0,0.00,0,0.00,0,20.00,1,20.00,1,")
    assert theirs.endswith("20.00,1,20.00,1,details")
    assert len(other.text.splitlines()) == 1
    assert "exported tax report" in client.get("/admin/audit", headers=HTML).text


@pytest.mark.parametrize("path", ["/partners/papers", "/partners/tax", "/admin/papers"])
def test_strangers_see_no_papers(client: TestClient, path: str) -> None:
    assert client.get(path, headers=HTML).status_code == 401


def test_the_same_sheet_gives_the_same_file(session: Session) -> None:
    _, withdrawal = paid(session)
    paper = issue(session, withdrawal)
    now = datetime(2026, 11, 21, tzinfo=UTC)

    sheets = [
        statements.statement(
            session,
            partner_id=make_partner(session, email="x@example.org").partner_id,
            span=statements.month(2026, 11),
            lang="fr",
            now=now,
        )
    ] * 2

    assert drawing.pdf(sheets[0], at=now) == drawing.pdf(sheets[1], at=now)
    assert paper.pdf[:5] == b"%PDF-"
