"""Console pages about the running of the place: jobs, mails, audit log, flags and policy."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time
from typing import Annotated

from fastapi import APIRouter, Form, Query, Request, Response
from fastapi.responses import HTMLResponse
from pydantic import BaseModel, BeforeValidator

from flowlink.identity import queries as identity
from flowlink.identity.deps import Operator, SecretReader
from flowlink.insights import queue, records, service
from flowlink.kernel import clock, flags, ids, jobs, policy
from flowlink.kernel.flags import Flag
from flowlink.kernel.models import AuditRow, PolicyRow
from flowlink.notify import queries as notify, service as mails_service
from flowlink.notify.ids import MAIL, MailId
from flowlink.web import csv, lists
from flowlink.web.forms import CheckboxField, Line
from flowlink.web.lists import CSV_SIZE, SIZE, Cursor, Search
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter()

MAIL_STATES = ("queued", "sent", "failed")
MailFilter = Annotated[str, Query(pattern="^(|queued|sent|failed)$")]
# Mails carry their own styles; nothing else of them runs, loads or leads anywhere.
MAIL_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox; frame-ancestors 'self'"
)
OptionalDay = Annotated[date | None, BeforeValidator(lambda typed: typed or None)]


class FlagForm(BaseModel):
    """A switch and which way it goes."""

    flag: Flag
    on: CheckboxField = False
    reason: Annotated[str, Form(max_length=500)] = ""


class PolicyForm(BaseModel):
    """A business number from a day on; without a day, from now on."""

    name: Line
    value: Line
    reason: Annotated[str, Form(max_length=500)] = ""
    effective_on: OptionalDay = None


@router.get("/admin/jobs")
def show_jobs(request: Request, session: Db) -> Response:
    """The schedule, how each job ended, what waits and what failed."""
    return page(
        request,
        "insights/jobs.html",
        schedule=queue.schedule(session, clock.now()),
        listeners=queue.listeners(),
        waiting=queue.waiting(session),
        failed=queue.failed(session),
    )


@router.get("/admin/jobs.csv")
def jobs_csv(session: Db) -> Response:
    header = ["job", "cron", "next_at", "last_started_at", "last_ok", "last_result"]
    rows = (
        (job.name, job.cron, job.next_at, *queue.ending(job.last))
        for job in queue.schedule(session, clock.now())
    )
    return csv.response("jobs.csv", header, rows)


@router.get("/admin/jobs/{name}")
def show_job(request: Request, session: Db, name: str) -> Response:
    """One job and its latest runs."""
    if name not in jobs.JOBS:
        raise jobs.UnknownJob(name=name)
    runs = queue.runs(session, name=name)
    return page(request, "insights/job.html", name=name, job=jobs.JOBS[name], runs=runs)


@router.post("/admin/jobs/{name}/run")
def run_job(session: Db, actor: Operator, name: str) -> Response:
    service.run_job(session, name=name, actor=actor.label, now=clock.now(), ip=actor.ip)
    return see_other(f"/admin/jobs/{name}")


@router.post("/admin/jobs/tasks/{task_id}/retry")
def retry_task(session: Db, actor: Operator, task_id: int) -> Response:
    service.retry_task(session, task_id=task_id, actor=actor.label, now=clock.now(), ip=actor.ip)
    return see_other("/admin/jobs")


@router.get("/admin/mails")
def mails(request: Request, session: Db, state: MailFilter = "", cursor: Cursor = None) -> Response:
    """What left the house, or waits to, newest first."""
    found = notify.mails(session, before=lists.before(cursor), state=state or None, limit=SIZE + 1)
    return page(
        request,
        "insights/mails.html",
        mails=lists.cut(found, key=lambda row: row.id),
        counts=notify.counts(session),
        states=MAIL_STATES,
        state=state,
    )


@router.get("/admin/mails.csv")
def mails_csv(session: Db, state: MailFilter = "") -> Response:
    found = notify.mails(session, state=state or None, limit=CSV_SIZE)
    header = ["mail", "at", "to", "subject", "state", "attempts", "transport", "error", "sent_at"]
    rows = (
        (
            ids.public(MAIL, row.id),
            row.created_at,
            row.to,
            row.subject,
            str(row.state),
            row.attempts,
            row.transport,
            row.error,
            row.sent_at,
        )
        for row in found
    )
    return csv.response("mails.csv", header, rows)


@router.get("/admin/mails/{mail_id}")
def mail(request: Request, session: Db, _: SecretReader, mail_id: str) -> Response:
    """One mail: its fate, its text, and its looks in a frame that can do nothing."""
    shown = notify.mail(session, mail_id=_mail_id(mail_id))
    return page(request, "insights/mail.html", mail=shown)


@router.get("/admin/mails/{mail_id}/html")
def mail_html(session: Db, _: SecretReader, mail_id: str) -> Response:
    """The mail's own HTML, for the frame: no script, no request, no form leaves it."""
    shown = notify.mail(session, mail_id=_mail_id(mail_id))
    return HTMLResponse(shown.content.html, headers={"content-security-policy": MAIL_POLICY})


@router.post("/admin/mails/{mail_id}/retry")
def retry_mail(session: Db, actor: Operator, mail_id: str) -> Response:
    key = _mail_id(mail_id)
    mails_service.retry(session, mail_id=key, actor=actor.label, now=clock.now(), ip=actor.ip)
    return see_other(f"/admin/mails/{mail_id}")


@router.get("/admin/audit")
def audit(
    request: Request,
    session: Db,
    q: Search = "",
    first: OptionalDay = None,
    last: OptionalDay = None,
    cursor: Cursor = None,
) -> Response:
    """Who did what, to what, from where."""
    found = records.audit_lines(
        session, query=q, first=first, last=last, before=lists.before(cursor), limit=SIZE + 1
    )
    cut = lists.cut(found, key=lambda row: row.id)
    return page(
        request,
        "insights/audit.html",
        lines=cut,
        people=identity.emails_behind(session, {row.actor for row in cut.items}),
        q=q,
        days={"first": first or "", "last": last or ""},
    )


@router.get("/admin/audit.csv")
def audit_csv(
    session: Db, q: Search = "", first: OptionalDay = None, last: OptionalDay = None
) -> Response:
    found = records.audit_lines(session, query=q, first=first, last=last, limit=CSV_SIZE)
    people = identity.emails_behind(session, {row.actor for row in found})
    header = ["at", "actor", "action", "subject", "from", "details", "email"]
    rows = (
        (
            row.at,
            row.actor,
            row.action,
            row.subject,
            row.ip,
            records.as_text(row.details),
            people.get(row.actor),
        )
        for row in found
    )
    return csv.response("audit.csv", header, rows)


@router.get("/admin/settings")
def show_settings(request: Request, session: Db, cursor: Cursor = None) -> Response:
    """Flags and business numbers as they stand, and every change that was made."""
    history = records.policy_history(session, before=lists.before(cursor), limit=SIZE + 1)
    switches = records.flag_history(session)
    return page(
        request,
        "insights/settings.html",
        flags=records.flag_states(session),
        switches=switches,
        people=identity.emails_behind(session, {*_actors(history), *_actors(switches)}),
        numbers=records.policy_states(session, clock.now()),
        history=lists.cut(history, key=lambda row: row.id),
    )


@router.get("/admin/settings.csv")
def settings_csv(session: Db) -> Response:
    """Every change of a business number."""
    header = ["name", "value", "effective_at", "reason", "actor", "at"]
    rows = (
        (row.name, row.value, row.effective_at, row.reason, row.actor, row.at)
        for row in records.policy_history(session, limit=CSV_SIZE)
    )
    return csv.response("settings.csv", header, rows)


@router.post("/admin/settings/flag")
def switch_flag(session: Db, actor: Operator, form: Annotated[FlagForm, Form()]) -> Response:
    flags.switch(
        session,
        flag=form.flag,
        on=form.on,
        actor=actor.label,
        reason=form.reason,
        now=clock.now(),
        ip=actor.ip,
    )
    return see_other("/admin/settings")


@router.post("/admin/settings/policy")
def change_policy(session: Db, actor: Operator, form: Annotated[PolicyForm, Form()]) -> Response:
    starts = form.effective_on
    policy.change(
        session,
        name=form.name,
        value=form.value,
        actor=actor.label,
        reason=form.reason,
        now=clock.now(),
        effective_at=datetime.combine(starts, time.min, UTC) if starts else None,
        ip=actor.ip,
    )
    return see_other("/admin/settings")


def _actors(rows: Sequence[PolicyRow] | Sequence[AuditRow]) -> set[str]:
    return {row.actor for row in rows}


def _mail_id(text: str) -> MailId:
    return MailId(ids.parse(MAIL, text))
