"""Console pages that change networks, and that take their reports in."""

from collections.abc import Mapping
from typing import Annotated, Literal

from fastapi import APIRouter, File, Form, Query, Request, Response, UploadFile
from pydantic import BaseModel

from flowlink.identity.deps import Operator
from flowlink.insights import inbox, quarantine
from flowlink.kernel import clock, ids
from flowlink.tracking import connectors, network_changes, networks, presets, reports
from flowlink.tracking.ids import POSTBACK, REPORT, NetworkId
from flowlink.tracking.models import AmountUnit, Status
from flowlink.tracking.network_changes import NetworkMap
from flowlink.tracking.report_models import Report, ReportState
from flowlink.web import csv, lists
from flowlink.web.forms import CheckboxField, Line, Paragraph
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

REPORTS = "/admin/reports"
After = Annotated[int, Query(ge=0, le=1_000_000)]


class PresetForm(BaseModel):
    preset: Line
    name: Line = ""


class KeyForm(BaseModel):
    grace_days: Annotated[int, Form(ge=0, le=network_changes.GRACE_DAYS_MAX)] = 7


class MapForm(BaseModel):
    """A network's map as it is typed: lists by line, one `word = meaning` a line."""

    click_param: Line
    subid: Line
    amount: Line
    currency_field: Line
    status: Line
    txn_id: Line
    goal: Line
    changed_at: Line = ""
    statuses: Paragraph = ""
    default_status: Status | Literal[""] = ""
    amount_unit: AmountUnit = AmountUnit.UNITS
    currency: Line = ""
    addresses: Paragraph = ""
    rebill: CheckboxField = False
    active: CheckboxField = False
    lookback_days: Annotated[int, Form(ge=1, le=3650)] = 90


class ColumnsForm(BaseModel):
    """The column of each field, counted from 0; empty: it has none."""

    subid: Line = ""
    amount: Line = ""
    currency: Line = ""
    status: Line = ""
    txn_id: Line = ""
    goal: Line = ""
    happened_at: Line = ""


@router.get("/admin/networks/presets")
def show_presets(request: Request) -> Response:
    """Networks whose way of speaking is public, each with its source."""
    return page(request, "insights/presets.html", presets=presets.every())


@router.post("/admin/networks/presets")
def add_from_preset(session: Db, actor: Operator, form: Annotated[PresetForm, Form()]) -> Response:
    network = network_changes.from_preset(
        session,
        preset=form.preset,
        name=form.name,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/networks/{network.name}")


@router.get("/admin/networks/{name}/edit")
def edit_network(request: Request, session: Db, name: str) -> Response:
    """The map of a network as a form."""
    network = networks.named(session, name)
    statuses = "\n".join(f"{word} = {means}" for word, means in sorted(network.statuses.items()))
    return page(request, "insights/network_edit.html", network=network, statuses=statuses)


@router.post("/admin/networks/{name}/edit")
def change_network(
    session: Db, actor: Operator, name: str, form: Annotated[MapForm, Form()]
) -> Response:
    network = networks.named(session, name)
    network_changes.change(
        session,
        network_id=NetworkId(network.id),
        to=_map(form),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/networks/{network.name}")


@router.post("/admin/networks/{name}/key")
def rotate_key(
    session: Db, actor: Operator, name: str, form: Annotated[KeyForm, Form()]
) -> Response:
    network = network_changes.rotate_key(
        session,
        network_id=NetworkId(networks.named(session, name).id),
        grace_days=form.grace_days,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(f"/admin/networks/{network.name}")


@router.get(REPORTS)
def show_reports(request: Request, session: Db, cursor: Cursor = None) -> Response:
    """Reports taken in, and the form for another one."""
    found = quarantine.reports(session, before=lists.before(cursor), limit=SIZE + 1)
    return page(
        request,
        "insights/reports.html",
        reports=lists.cut(found, key=lambda line: line.report.id),
        networks=inbox.network_names(session),
    )


@router.post(REPORTS)
def take_report(
    session: Db,
    actor: Operator,
    network: Annotated[str, Form(max_length=60)],
    file: Annotated[UploadFile, File()],
) -> Response:
    """Take a file in as a draft; nothing is booked yet."""
    report = reports.take(
        session,
        network_id=NetworkId(networks.named(session, network).id),
        filename=file.filename or "",
        content=file.file.read(),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(_path(report))


@router.get(f"{REPORTS}/{{report_id}}")
def show_report(request: Request, session: Db, report_id: str, after: After = 0) -> Response:
    """A draft with what each row would do, or how far a started one is."""
    report = reports.get(session, ids.parse(REPORT, report_id))
    drafted = report.state == ReportState.DRAFT
    previews = (
        reports.preview(session, report_id=report.id, now=clock.now(), after=after, limit=SIZE)
        if drafted
        else []
    )
    rows = [] if drafted else quarantine.rows_of(session, report.id, after=after, limit=SIZE)
    return page(
        request,
        "insights/report.html",
        line=quarantine.report(session, report),
        fields=connectors.COLUMNS,
        previews=previews,
        rows=rows,
        size=SIZE,
    )


@router.get(f"{REPORTS}/{{report_id}}/rows.csv")
def rows_csv(session: Db, report_id: str, *, problems: bool = False) -> Response:
    """Rows with what became of them, or those alone that were not booked."""
    report = reports.get(session, ids.parse(REPORT, report_id))
    found = quarantine.rows_of(session, report.id, only_problems=problems, limit=CSV_SIZE)
    header = ["row", "result", "reason", "postback", *report.header]
    rows = (
        (
            row.number,
            row.result,
            row.reason,
            ids.public(POSTBACK, row.postback_id) if row.postback_id else None,
            *row.cells,
        )
        for row in found
    )
    return csv.response("problems.csv" if problems else "rows.csv", header, rows)


@router.post(f"{REPORTS}/{{report_id}}/columns")
def choose_columns(
    session: Db, actor: Operator, report_id: str, form: Annotated[ColumnsForm, Form()]
) -> Response:
    """Another mapping; the preview follows it."""
    given = {name: int(place) for name, place in form.model_dump().items() if place.isdigit()}
    report = reports.choose_columns(
        session,
        report_id=ids.parse(REPORT, report_id),
        columns=given,
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(_path(report))


@router.post(f"{REPORTS}/{{report_id}}/start")
def start_report(session: Db, actor: Operator, report_id: str) -> Response:
    """Book every row, in the background."""
    report = reports.start(
        session,
        report_id=ids.parse(REPORT, report_id),
        actor=actor.label,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other(_path(report))


def _path(report: Report) -> str:
    return f"{REPORTS}/{ids.public(REPORT, report.id)}"


def _map(form: MapForm) -> NetworkMap:
    """:raises networks.BadStatusWord: a line without `=`, or a status that there is not."""
    return NetworkMap(
        click_param=form.click_param,
        fields={
            "subid": form.subid,
            "amount": form.amount,
            "currency": form.currency_field,
            "status": form.status,
            "txn_id": form.txn_id,
            "goal": form.goal,
            **({networks.CHANGED_AT: form.changed_at} if form.changed_at else {}),
        },
        statuses=_words(form.statuses),
        default_status=form.default_status or None,
        amount_unit=form.amount_unit,
        currency=form.currency or None,
        addresses=form.addresses.replace(",", " ").split(),
        rebill=form.rebill,
        lookback_days=form.lookback_days,
        active=form.active,
    )


def _words(text: str) -> Mapping[str, str]:
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        word, equals, meaning = line.rpartition("=")
        if not equals or meaning.strip() not in set(Status):
            raise networks.BadStatusWord(name=line)
        found[word.strip()] = meaning.strip()
    return found
