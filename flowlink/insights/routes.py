"""Pages for everybody: the front door, and what partners can read before they join."""

from typing import Annotated

from fastapi import APIRouter, Query, Request, Response

from flowlink.insights import leaderboard, worked
from flowlink.kernel import clock
from flowlink.payouts.deps import CurrentPolicy
from flowlink.tracking import queries as tracking
from flowlink.web import csv
from flowlink.web.render import page
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)

GET = ["GET", "HEAD"]  # what is shared in public is also looked at by its head

Days = Annotated[int, Query(ge=1, le=90)]


@router.api_route("/", methods=GET)
def front(request: Request, session: Db, policy: CurrentPolicy) -> Response:
    """Two doors: one for those who earn, one for those who build."""
    offer = tracking.current_offer(session, clock.now())
    return page(request, "insights/front.html", offer=offer, policy=policy)


@router.api_route("/partners", methods=GET)
def landing(request: Request, session: Db, policy: CurrentPolicy) -> Response:
    """What there is to earn, how it is paid, and the way in."""
    offer = tracking.current_offer(session, clock.now())
    example = worked.example(policy)
    return page(request, "insights/landing.html", offer=offer, policy=policy, example=example)


@router.api_route("/partners/leaderboard", methods=GET)
def board(request: Request, session: Db, days: Days = 7) -> Response:
    """Who brings the most valid clicks; names are handles or opaque."""
    places = leaderboard.top(session, days=days, now=clock.now())
    return page(request, "insights/leaderboard.html", places=places, days=days)


@router.get("/partners/leaderboard.csv")
def board_csv(session: Db, days: Days = 7) -> Response:
    places = leaderboard.top(session, days=days, now=clock.now())
    rows = ((place.rank, place.name, place.clicks) for place in places)
    return csv.response(f"leaderboard-{days}-days.csv", ["rank", "name", "valid_clicks"], rows)


@router.api_route("/partners/faq", methods=GET)
def faq(request: Request, policy: CurrentPolicy) -> Response:
    """What partners ask before they join."""
    return page(request, "insights/faq.html", policy=policy, example=worked.example(policy))
