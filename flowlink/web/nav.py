"""The navigation: which sections a reader sees, and which of them is open."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from fastapi import Request
from starlette.routing import Match

from flowlink.web.i18n import mark


@dataclass(frozen=True)
class Item:
    """A section: where it is, what it is called (a msgid), who sees it."""

    href: str
    label: str
    audience: str


@dataclass(frozen=True)
class Section:
    """An item as one page shows it."""

    href: str
    label: str
    current: bool


_ITEMS = (
    Item("/partners", mark("Earn with us"), "visitor"),
    Item("/partners/leaderboard", mark("Leaderboard"), "visitor"),
    Item("/partners/faq", mark("Questions"), "visitor"),
    Item("/partner/portal", mark("Portal"), "partner"),
    Item("/partner/links", mark("Links"), "partner"),
    Item("/partner/statistics", mark("Statistics"), "partner"),
    Item("/partners/earnings", mark("Earnings"), "partner"),
    Item("/partners/sales", mark("Sales"), "partner"),
    Item("/partners/leaderboard", mark("Leaderboard"), "partner"),
    Item("/admin/monitoring", mark("Monitoring"), "operator"),
    Item("/admin/partners", mark("Partners"), "operator"),
    Item("/admin/offers", mark("Offers"), "operator"),
    Item("/admin/links", mark("All links"), "operator"),
    Item("/admin/domains", mark("Domains"), "operator"),
    Item("/admin/networks", mark("Networks"), "operator"),
    Item("/admin/postbacks", mark("Postbacks"), "operator"),
    Item("/ops/holds", mark("Holds"), "operator"),
    Item("/ops/payouts/pending", mark("Withdrawals"), "operator"),
    Item("/admin/payouts", mark("Payouts"), "operator"),
    Item("/admin/ledger", mark("Ledger"), "operator"),
    Item("/admin/jobs", mark("Jobs"), "operator"),
    Item("/admin/mails", mark("Mails"), "operator"),
    Item("/admin/audit", mark("Audit"), "operator"),
    Item("/admin/settings", mark("Settings"), "operator"),
)


def sections(request: Request, viewer: Any) -> Sequence[Section]:
    """The sections this reader may open and this installation has, in their order."""
    here = request.url.path
    paths = _paths(request.app)
    shown = [item for item in _ITEMS if item.audience in audiences(viewer) and item.href in paths]
    opened = max((i.href for i in shown if _within(here, i.href)), key=len, default="")
    return [Section(item.href, item.label, item.href == opened) for item in shown]


def audiences(viewer: Any) -> set[str]:
    """What a reader is, for the navigation."""
    if viewer is None:
        return {"visitor"}
    hats = {"operator"} if viewer.is_operator else set()
    if viewer.partner_id is not None or not hats:
        hats.add("partner")
    return hats


def _within(path: str, href: str) -> bool:
    return path == href or path.startswith(f"{href}/")


@lru_cache(maxsize=8)
def _paths(app: Any) -> frozenset[str]:
    """Those of our sections that the application serves; one without its page is not shown."""
    return frozenset(item.href for item in _ITEMS if _serves(app, item.href))


def _serves(app: Any, path: str) -> bool:
    asked = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(dict(asked))[0] is Match.FULL for route in app.routes)
