"""Reports of networks: read, looked at, booked in batches, and the same twice."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from flowlink.app import registry
from flowlink.kernel import jobs
from flowlink.tracking import connectors, networks, reports
from flowlink.tracking.connectors import BadRow, CsvRows
from flowlink.tracking.ids import NetworkId
from flowlink.tracking.report_models import Report
from tests.tracking.makers import Send, Shop, conversions, make_click, make_shop, rows


@pytest.fixture(autouse=True)
def handlers() -> None:
    registry.load()


def take(session: Session, text: str, now: datetime) -> Report:
    network_id = NetworkId(networks.named(session, "direct").id)
    return reports.take(
        session,
        network_id=network_id,
        filename="march.csv",
        content=text.encode(),
        actor="test",
        now=now,
    )


def book(session: Session, text: str, now: datetime) -> Report:
    report = take(session, text, now)
    reports.start(session, report_id=report.id, actor="test", now=now)
    session.flush()
    jobs.run_pending(now)
    session.expire_all()
    return report


def results(session: Session, report: Report) -> list[tuple[object, ...]]:
    query = "SELECT result, reason FROM tracking_report_row WHERE report_id = :id ORDER BY number"
    return rows(session, query, id=report.id)


def test_rows_become_postbacks_and_the_same_file_twice_changes_nothing(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    text = (
        "Click ID;Commission;Status;Transaction ID\n"
        f"{click};12,50;approved;t1\n"
        f"{click};abc;approved;t2\n"
        "nobody;3,00;approved;t3\n"
        f"{click};1,00;strange;t4\n"
    )

    first = book(session, text, now)
    second = book(session, text, now)

    assert results(session, first) == [
        ("ok", None),
        ("quarantined", "unreadable_amount"),
        ("orphan", "unreadable_click"),
        ("quarantined", "unknown_status"),
    ]
    assert results(session, second)[0] == ("duplicate", "already_known")
    assert conversions(session) == [("approved", 1250, 1)]
    assert (first.state, second.state) == ("done", "done")


def test_a_report_changes_what_a_postback_began(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    send(subid=click, amount="5.00", status="pending", txn_id="t1")

    book(session, f"subid,amount,status,txn_id\n{click},5.00,approved,t1\n", now)

    assert conversions(session) == [("approved", 500, 2)]


def test_a_preview_books_nothing(session: Session, shop: Shop, click: str, now: datetime) -> None:
    report = take(session, f"subid,amount,txn_id\n{click},5.00,t1\nx,1.00,t2\n", now)

    shown = reports.preview(session, report_id=report.id, now=now)

    assert [row.preview.result if row.preview else None for row in shown] == ["ok", "orphan"]
    assert conversions(session) == []
    assert rows(session, "SELECT count(*) FROM tracking_postback") == [(0,)]


def test_booking_goes_on_after_an_interruption(session: Session, shop: Shop, now: datetime) -> None:
    lines = "".join(f"none{number},1.00,t{number}\n" for number in range(reports.BATCH + 5))
    report = take(session, f"subid,amount,txn_id\n{lines}", now)
    reports.start(session, report_id=report.id, actor="test", now=now)
    session.flush()
    assert reports.book_batch(session, report_id=report.id, now=now) == reports.BATCH
    session.flush()

    assert jobs.run("report_resume", now) == "5 rows of 1 reports booked"

    session.expire_all()
    assert (report.state, len(results(session, report))) == ("done", reports.BATCH + 5)


def test_a_started_report_keeps_its_columns(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    report = book(session, f"subid,amount\n{click},5.00\n", now)

    with pytest.raises(reports.AlreadyStarted):
        reports.choose_columns(
            session, report_id=report.id, columns={"subid": 1}, actor="test", now=now
        )
    with pytest.raises(reports.AlreadyStarted):
        reports.start(session, report_id=report.id, actor="test", now=now)

    assert report.columns == {"subid": 0, "amount": 1}


def test_payments_again_for_one_click_need_a_date_or_a_transaction(
    session: Session, now: datetime
) -> None:
    shop = make_shop(session, now=now)
    networks.named(session, "direct").rebill = True
    session.flush()
    click = make_click(session, shop, now)
    undated = f"subid,amount,status\n{click},5.00,approved\n"
    day = now.date().isoformat()
    dated = f"subid,amount,status,date\n{click},5.00,approved,{day}\n"

    refused = book(session, undated, now)
    book(session, dated, now)
    again = book(session, dated, now + timedelta(days=2))

    assert results(session, refused) == [("rejected", "missing_date")]
    assert results(session, again) == [("duplicate", "already_known")]
    assert conversions(session) == [("approved", 500, 1)]


@pytest.mark.parametrize("content", [b"", b"subid,amount\n", b"\n\n \n"])
def test_what_is_no_report_is_refused(content: bytes) -> None:
    with pytest.raises(connectors.UnreadableReport):
        connectors.read_csv(content)


def test_files_of_spreadsheets_are_read() -> None:
    excel = "\ufeffRéférence;Montant\r\nà1;1,5\r\n".encode()

    assert connectors.read_csv(excel) == (["Référence", "Montant"], [["à1", "1,5"]])
    assert connectors.read_csv("Réf\tx\n1\t2\n".encode("cp1252"))[0] == ["Réf", "x"]


@pytest.mark.parametrize(
    "columns", [{"amount": 0}, {"subid": 0, "amount": 0}, {"subid": 5}, {"subid": -1}, {"x": 0}]
)
def test_columns_that_name_no_event_are_refused(columns: dict[str, int]) -> None:
    with pytest.raises(connectors.BadColumns):
        connectors.check_columns(columns, width=2)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("2026-03-01", "2026-03-01T00:00:00+00:00"),
        ("01/03/2026", "2026-03-01T00:00:00+00:00"),
        ("2026-03-01T10:00:00+02:00", "2026-03-01T08:00:00+00:00"),
    ],
)
def test_dates_are_read_as_reports_write_them(text: str, shown: str) -> None:
    (event,) = CsvRows({"subid": 0, "happened_at": 1}, [["c", text]]).events()

    assert not isinstance(event, BadRow)
    assert event.happened_at is not None
    assert event.happened_at.isoformat() == shown


@pytest.mark.parametrize("text", ["soon", "0001-01-01T00:00:00+14:00"])
def test_a_date_that_is_none_is_said(text: str) -> None:
    (event,) = CsvRows({"subid": 0, "happened_at": 1}, [["c", text]]).events()

    assert isinstance(event, BadRow)
    assert event.reason == "unreadable_date"
