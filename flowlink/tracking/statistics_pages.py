"""A partner's statistics as a page, as files, and as a counter that keeps up."""

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from sqlalchemy.orm import Session

from flowlink.kernel import clock, ids
from flowlink.partners import queries as partners
from flowlink.partners.deps import CurrentPartner
from flowlink.partners.ids import PartnerId
from flowlink.tracking import countries, link_lists, statistics
from flowlink.tracking.ids import LINK, LinkId
from flowlink.tracking.link_pages import Days
from flowlink.tracking.statistics import Statistics
from flowlink.web import csv
from flowlink.web.render import fragment, page
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)

_HREF = "/partner/statistics/live"


class Part(StrEnum):
    """What a file of statistics can hold."""

    HOURS = "hours"
    DAYS = "days"
    COUNTRIES = "countries"
    DEVICES = "devices"
    REFERRERS = "referrers"
    REASONS = "reasons"


@router.get("/partner/statistics")
def show_statistics(
    request: Request, session: Db, partner_id: CurrentPartner, days: Days = 30
) -> Response:
    """All my clicks by time, country, device and where they came from."""
    now = clock.now()
    number = partners.get(session, partner_id).number
    return page(
        request,
        "tracking/statistics.html",
        days=days,
        statistics=statistics.of_partner(session, partner=number, days=days, now=now),
        live=statistics.live_of_partner(session, partner=number, now=now),
        live_href=_HREF,
        knows_countries=countries.available(),
    )


@router.get(_HREF)
def show_live(request: Request, session: Db, partner_id: CurrentPartner) -> Response:
    """The counter that the page asks for again and again."""
    number = partners.get(session, partner_id).number
    live = statistics.live_of_partner(session, partner=number, now=clock.now())
    return fragment(request, "tracking/_live.html", live=live, live_href=_HREF, of_link=False)


@router.get("/partner/statistics.csv")
def statistics_csv(
    session: Db,
    partner_id: CurrentPartner,
    part: Part = Part.DAYS,
    days: Days = 30,
    link: Annotated[str | None, Query(max_length=60)] = None,
) -> Response:
    """One part of the statistics, of all links or of one."""
    found = _statistics(session, partner_id, link, days)
    if part == Part.HOURS:
        rows: Sequence[Sequence[object]] = [
            (hour.at, hour.valid, hour.flagged) for hour in found.hours
        ]
        return csv.response("hours.csv", ["hour", "valid_clicks", "other_clicks"], rows)
    slices: Sequence[statistics.Slice] = getattr(found, part)
    header = [_HEADERS[part], "valid_clicks", "bot_clicks", "other_clicks"]
    rows = [(one.name, one.valid, one.bots, one.others) for one in slices]
    return csv.response(f"{part}.csv", header, rows)


_HEADERS = {
    Part.DAYS: "day",
    Part.COUNTRIES: "country",
    Part.DEVICES: "device",
    Part.REFERRERS: "referrer",
    Part.REASONS: "reason",
}


def _statistics(session: Session, partner_id: PartnerId, link: str | None, days: int) -> Statistics:
    now = clock.now()
    number = partners.get(session, partner_id).number
    if link is None:
        return statistics.of_partner(session, partner=number, days=days, now=now)
    key = LinkId(ids.parse(LINK, link))
    line = link_lists.line(session, link_id=key, partner_id=partner_id, now=now)
    return statistics.of_link(session, partner=number, link=line.link.number, days=days, now=now)
