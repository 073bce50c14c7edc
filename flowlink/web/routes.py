"""The gallery of all macros at `/ui`, for those who build pages. Development only."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from flowlink.kernel.errors import Refused
from flowlink.kernel.money import Money
from flowlink.web import render

router = APIRouter(include_in_schema=False)

_MOMENT = datetime(2026, 11, 21, 8, 10, tzinfo=UTC)


@router.get("/ui")
def gallery(request: Request) -> HTMLResponse:
    """Every macro with data like the product's own."""
    return render.page(request, "ui/gallery.html", **sample())


@router.get("/ui/focus")
def focus(request: Request) -> HTMLResponse:
    """The layout with one thing to do."""
    return render.page(request, "ui/gallery_focus.html")


@router.get("/ui/hero")
def hero(request: Request) -> HTMLResponse:
    """The top of a landing page."""
    return render.page(request, "ui/gallery_hero.html")


@router.get("/ui/refused")
def refused_form(request: Request) -> HTMLResponse:
    """A form that is always refused."""
    return render.page(request, "ui/gallery_refused.html")


@router.post("/ui/refused")
def refuse() -> None:
    raise Refused


def sample() -> dict[str, Any]:
    """What the gallery shows: the same on every call."""
    days = [date(2026, 11, 8) + timedelta(days=n) for n in range(14)]
    clicks = [112, 131, 98, 145, 176, 210, 188, 164, 172, 205, 241, 266, 238, 219]
    return {
        "moment": _MOMENT,
        "balance": Money.from_cents(128_450),
        "reserve": Money.from_cents(38_535),
        "lines": [
            ("Conversion #4821", "approved", Money(8_400_000), _MOMENT),
            ("Réserve libérée", "released", Money(2_520_000), _MOMENT - timedelta(hours=5)),
            ("Retrait vers PayPal", "sent", Money(-50_000_000), _MOMENT - timedelta(days=1)),
            ("Conversion #4790", "reversed", Money(-3_600_000), _MOMENT - timedelta(days=2)),
        ],
        "labels": [day.strftime("%d/%m") for day in days],
        "clicks": clicks,
        "valid": [round(n * 0.87) for n in clicks],
        "earned": [n * 72_000 for n in clicks],
    }
