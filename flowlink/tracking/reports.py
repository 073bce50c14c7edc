"""Reports of networks: a file taken in, looked at, and then booked row by row in batches.

Each row becomes a postback of its own, so that it stands in the log, may be replayed, and is known
again: the same file twice changes nothing (the event's one name is the dedupe key's).

| report | when |
|---|---|
| draft | taken in; its columns may be chosen, and its effect looked at |
| running | somebody started it; the job books it, and goes on after an interruption |
| done | every row has its result |
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlencode
from uuid import UUID

from sqlalchemy import insert, select
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, events, ids
from flowlink.kernel.errors import NotFound, Refused
from flowlink.tracking import connectors, networks, postbacks
from flowlink.tracking.connectors import BadRow, CsvRows, Event
from flowlink.tracking.ids import REPORT, NetworkId, PostbackId
from flowlink.tracking.models import Network, Postback, Result
from flowlink.tracking.postbacks import Preview
from flowlink.tracking.report_models import Report, ReportRow, ReportState

BATCH = 200
METHOD = "REPORT"
_AHEAD = timedelta(days=1)  # a network's clock and zone may be a little ahead of ours


class UnknownReport(NotFound):
    message = "There is no such report."


class AlreadyStarted(Refused):
    message = "This report was started already."


@dataclass(frozen=True, slots=True)
class RowPreview:
    """What a row would do. `reason` alone when it cannot even become a postback."""

    number: int
    cells: Sequence[str]
    preview: Preview | None
    reason: str | None


def take(
    session: Session,
    *,
    network_id: NetworkId,
    filename: str,
    content: bytes,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Report:
    """Take a file in as a draft, with a first guess at its columns.

    :raises connectors.UnreadableReport: :raises connectors.TooManyRows:
    """
    network = session.get(Network, network_id)
    if network is None:
        raise networks.UnknownNetwork
    header, rows = connectors.read_csv(content)
    report = Report(
        network_id=network.id,
        filename=filename.strip().replace("\x00", "")[:200] or "report.csv",
        header=header,
        columns=connectors.guess(header, network.fields),
        state=ReportState.DRAFT,
        rows=len(rows),
        made_by=actor,
        created_at=now,
    )
    session.add(report)
    session.flush()  # its rows need its key
    values = [
        {"report_id": report.id, "number": number, "cells": cells}
        for number, cells in enumerate(rows, start=1)
    ]
    session.execute(insert(ReportRow), values)
    _audit(session, report, "report.taken_in", actor, now, ip)
    return report


def get(session: Session, report_id: UUID) -> Report:
    """:raises UnknownReport:"""
    report = session.get(Report, report_id)
    if report is None:
        raise UnknownReport
    return report


def choose_columns(
    session: Session,
    *,
    report_id: UUID,
    columns: Mapping[str, int],
    actor: str,
    now: datetime,
    ip: str = "",
) -> Report:
    """Say which column is which field, as long as nothing is booked.

    :raises AlreadyStarted: :raises connectors.BadColumns:
    """
    report = _draft(session, report_id)
    report.columns = connectors.check_columns(columns, width=len(report.header))
    _audit(session, report, "report.columns_chosen", actor, now, ip)
    return report


def preview(
    session: Session, *, report_id: UUID, now: datetime, after: int = 0, limit: int = 50
) -> Sequence[RowPreview]:
    """What each row would do if it were booked now; rows of one file do not know of each other."""
    report = get(session, report_id)
    network = session.get_one(Network, report.network_id)
    rows = select(ReportRow).where(ReportRow.report_id == report.id, ReportRow.number > after)
    found = session.scalars(rows.order_by(ReportRow.number).limit(limit)).all()
    if not {"subid", "txn_id"} & report.columns.keys():
        return [RowPreview(row.number, row.cells, None, "no_columns") for row in found]
    return [
        _previewed(session, network, row, event, now)
        for row, event in zip(found, _events(report, found), strict=True)
    ]


def start(session: Session, *, report_id: UUID, actor: str, now: datetime, ip: str = "") -> Report:
    """Have the job book every row.

    :raises AlreadyStarted: :raises connectors.BadColumns:
    """
    report = _draft(session, report_id)
    connectors.check_columns(report.columns, width=len(report.header))
    report.state, report.started_at = ReportState.RUNNING, now
    events.emit(session, "report.started", {"report_id": str(report.id)})
    _audit(session, report, "report.started", actor, now, ip)
    return report


def book_batch(session: Session, *, report_id: UUID, now: datetime) -> int:
    """Book the next rows in this transaction; 0 when all are done. Two jobs take turns."""
    (report,) = db.lock(session, Report, Report.id == report_id)
    if report.state != ReportState.RUNNING:
        return 0
    network = session.get_one(Network, report.network_id)
    todo = select(ReportRow).where(ReportRow.report_id == report.id, ReportRow.result.is_(None))
    found = session.scalars(todo.order_by(ReportRow.number).limit(BATCH)).all()
    keys = db.new_keys(session, len(found))
    for row, event, key in zip(found, _events(report, found), keys, strict=True):
        _keep(session, network, row, event, PostbackId(key), now)
    session.flush()
    booked = {PostbackId(row.postback_id): row for row in found if row.postback_id}
    for result in postbacks.process_all(session, postback_ids=list(booked), now=now):
        assert result.postback_id is not None
        row = booked[result.postback_id]
        row.result, row.reason = result.result, result.reason
    if not found:
        report.state, report.done_at = ReportState.DONE, now
    return len(found)


def running(session: Session) -> Sequence[UUID]:
    """Reports that are being booked, or were when somebody pulled the plug."""
    return session.scalars(select(Report.id).where(Report.state == ReportState.RUNNING)).all()


def _audit(
    session: Session, report: Report, action: str, actor: str, now: datetime, ip: str
) -> None:
    facts = {"filename": report.filename, "rows": report.rows}
    audit.record(session, actor, action, ids.public(REPORT, report.id), now, ip, **facts)


def _draft(session: Session, report_id: UUID) -> Report:
    found = db.lock(session, Report, Report.id == report_id)
    if not found:
        raise UnknownReport
    if found[0].state != ReportState.DRAFT:
        raise AlreadyStarted
    return found[0]


def _events(report: Report, rows: Sequence[ReportRow]) -> list[Event | BadRow]:
    return list(CsvRows(report.columns, [row.cells for row in rows]).events())


def _checked(network: Network, event: Event | BadRow, now: datetime) -> Event:
    """:raises BadRow: also one whose payment could be booked twice, or lies in the future."""
    if isinstance(event, BadRow):
        raise event
    if event.happened_at is not None and event.happened_at > now + _AHEAD:
        raise BadRow("future_date")
    if network.rebill and "txn_id" not in event.fields and event.happened_at is None:
        raise BadRow("missing_date")
    return event


def _named(network: Network, event: Event) -> dict[str, str]:
    return {network.fields[ours]: value for ours, value in event.fields.items()}


def _previewed(
    session: Session, network: Network, row: ReportRow, event: Event | BadRow, now: datetime
) -> RowPreview:
    try:
        good = _checked(network, event, now)
    except BadRow as error:
        return RowPreview(row.number, row.cells, None, error.reason)
    fields = {name: [value] for name, value in _named(network, good).items()}
    found = postbacks.preview_of(
        session, network=network, fields=fields, at=good.happened_at or now
    )
    return RowPreview(row.number, row.cells, found, found.reason)


def _keep(
    session: Session,
    network: Network,
    row: ReportRow,
    event: Event | BadRow,
    key: PostbackId,
    now: datetime,
) -> None:
    """Make the row a postback, or say why it cannot be one."""
    try:
        good = _checked(network, event, now)
    except BadRow as error:
        row.result, row.reason = Result.REJECTED, error.reason
        return
    postback = Postback(
        id=key,
        received_at=now,
        method=METHOD,
        query=urlencode(_named(network, good)),
        content_type="",
        body=b"",
        address="",
        network_id=network.id,
        key_ok=True,
        result=Result.RECEIVED,
        attempts=0,
        happened_at=good.happened_at,
    )
    session.add(postback)
    row.postback_id = key
