"""The journal for the accountant as a download."""

from datetime import UTC, date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from flowlink.identity.deps import require_operator
from flowlink.insights import accounting
from flowlink.kernel.errors import Invalid
from flowlink.web import csv
from flowlink.web.sessions import Db

router = APIRouter(dependencies=[Depends(require_operator)], include_in_schema=False)

Day = Annotated[str, Query(max_length=10)]


class BadDay(Invalid):
    message = "Please give a day such as 2026-11-21."
    field = "from"


@router.get("/admin/accounting.csv")
def accounting_csv(
    session: Db, since: Annotated[str, Query(alias="from", max_length=10)] = "", to: Day = ""
) -> Response:
    """Every transfer of these days (UTC, both included) with the names of its accounts."""
    first, last = _day(since), _day(to)
    name = "-".join(["journal", *(day for day in (since, to) if day)])
    rows = list(accounting.journal(session, since=first, until=last))
    return csv.response(f"{name}.csv", accounting.HEADER, rows)


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise BadDay from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
