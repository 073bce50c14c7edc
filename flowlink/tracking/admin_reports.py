"""Reports of networks, for programs: taken in, mapped, looked at, booked."""

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, UploadFile
from pydantic import BaseModel, ConfigDict, Field

from flowlink.identity.deps import Operator
from flowlink.kernel import clock, ids
from flowlink.tracking import networks, reports
from flowlink.tracking.ids import REPORT, NetworkId
from flowlink.tracking.models import Network, Result
from flowlink.tracking.report_models import Report
from flowlink.web.sessions import Db

router = APIRouter(prefix="/api/admin")

Word = Annotated[str, Field(max_length=64)]


class ReportOut(BaseModel):
    id: str
    network: str
    filename: str
    state: str
    header: list[str]
    columns: dict[str, int]
    rows: int
    created_at: datetime
    done_at: datetime | None


class ReportRowOut(BaseModel):
    number: int
    cells: list[str]
    result: str
    reason: str | None


class ReportPreview(BaseModel):
    rows: list[ReportRowOut]
    next: int | None


class ColumnsIn(BaseModel):
    """Our field -> the number of its column, from 0."""

    model_config = ConfigDict(extra="forbid")

    columns: dict[Word, int] = Field(max_length=20)


@router.post("/networks/{name}/reports", status_code=201)
def take_report(session: Db, actor: Operator, name: str, file: UploadFile) -> ReportOut:
    """Take a network's CSV report in as a draft. Nothing is booked yet."""
    network = networks.named(session, name)
    report = reports.take(
        session,
        network_id=NetworkId(network.id),
        filename=file.filename or "",
        content=file.file.read(),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return _report(report, network)


@router.get("/reports/{report_id}")
def show_report(session: Db, _: Operator, report_id: str) -> ReportOut:
    """One report and how far it is."""
    report = reports.get(session, ids.parse(REPORT, report_id))
    return _report(report, session.get_one(Network, report.network_id))


@router.put("/reports/{report_id}/columns")
def choose_columns(session: Db, actor: Operator, report_id: str, body: ColumnsIn) -> ReportOut:
    """Say which column of a draft is which field."""
    key = ids.parse(REPORT, report_id)
    report = reports.choose_columns(
        session,
        report_id=key,
        columns=body.columns,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return _report(report, session.get_one(Network, report.network_id))


@router.get("/reports/{report_id}/preview")
def preview_report(
    session: Db, _: Operator, report_id: str, after: Annotated[int, Query(ge=0, le=10**9)] = 0
) -> ReportPreview:
    """What each row would do, fifty at a time."""
    key = ids.parse(REPORT, report_id)
    found = reports.preview(session, report_id=key, now=clock.now(), after=after, limit=50)
    rows = [
        ReportRowOut(
            number=row.number,
            cells=list(row.cells),
            result=row.preview.result.value if row.preview else Result.REJECTED.value,
            reason=row.reason,
        )
        for row in found
    ]
    return ReportPreview(rows=rows, next=rows[-1].number if len(rows) == 50 else None)


@router.post("/reports/{report_id}/start")
def start_report(session: Db, actor: Operator, report_id: str) -> ReportOut:
    """Book every row, in the background."""
    report = reports.start(
        session,
        report_id=ids.parse(REPORT, report_id),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return _report(report, session.get_one(Network, report.network_id))


def _report(report: Report, network: Network) -> ReportOut:
    return ReportOut(
        id=ids.public(REPORT, report.id),
        network=network.name,
        filename=report.filename,
        state=report.state,
        header=report.header,
        columns=report.columns,
        rows=report.rows,
        created_at=report.created_at,
        done_at=report.done_at,
    )
