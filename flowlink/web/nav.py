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
    """A page of the navigation: where it is, its msgid, who sees it, the section it belongs to."""

    href: str
    label: str
    audience: str
    section: str = ""


@dataclass(frozen=True)
class Section:
    """A section as one page shows it: it leads to its first page and lists them all."""

    href: str
    label: str
    current: bool
    pages: Sequence["Section"] = ()


_LINKS, _MONEY = mark("Links"), mark("Earnings")
_PEOPLE, _OFFERS, _SALES = mark("Partners"), mark("Offers and links"), mark("Conversions")
_RISK, _PAYING, _HOUSE = mark("Risk"), mark("Money"), mark("System")

_ITEMS = (
    Item("/partners", mark("Earn with us"), "visitor"),
    Item("/partners/leaderboard", mark("Leaderboard"), "visitor"),
    Item("/partners/faq", mark("Questions"), "visitor"),
    Item("/partner/portal", mark("Portal"), "partner"),
    Item("/partner/links", mark("Links"), "partner", _LINKS),
    Item("/partner/statistics", mark("Statistics"), "partner", _LINKS),
    Item("/partners/earnings", mark("Earnings"), "partner", _MONEY),
    Item("/partners/sales", mark("Sales"), "partner", _MONEY),
    Item("/partners/papers", mark("Papers"), "partner", _MONEY),
    Item("/partner/webhooks", mark("Webhooks"), "partner", _LINKS),
    Item("/partners/cases", mark("Cases"), "partner", _MONEY),
    Item("/partners/invite", mark("Invite"), "partner"),
    Item("/partners/leaderboard", mark("Leaderboard"), "partner"),
    Item("/admin/monitoring", mark("Monitoring"), "operator"),
    Item("/admin/inbox", mark("Inbox"), "operator"),
    Item("/admin/partners", mark("Partners"), "operator", _PEOPLE),
    Item("/admin/teams", mark("Teams"), "operator", _PEOPLE),
    Item("/admin/groups", mark("Groups"), "operator", _PEOPLE),
    Item("/admin/onboarding", mark("Onboarding"), "operator", _PEOPLE),
    Item("/admin/cases", mark("Cases"), "operator", _PEOPLE),
    Item("/admin/disputes", mark("Disputes"), "operator", _PEOPLE),
    Item("/admin/offers", mark("Offers"), "operator", _OFFERS),
    Item("/admin/links", mark("All links"), "operator", _OFFERS),
    Item("/admin/domains", mark("Domains"), "operator", _OFFERS),
    Item("/admin/networks", mark("Networks"), "operator", _SALES),
    Item("/admin/postbacks", mark("Postbacks"), "operator", _SALES),
    Item("/admin/trail", mark("Trails"), "operator", _SALES),
    Item("/ops/holds", mark("Holds"), "operator", _RISK),
    Item("/ops/watches", mark("Watched clicks"), "operator", _RISK),
    Item("/ops/limits", mark("Limits"), "operator", _RISK),
    Item("/admin/payments", mark("Payments"), "operator", _PAYING),
    Item("/ops/payouts/pending", mark("Withdrawals"), "operator", _PAYING),
    Item("/ops/payouts/runs", mark("Runs"), "operator", _PAYING),
    Item("/ops/payouts/answers", mark("Bank answers"), "operator", _PAYING),
    Item("/admin/payouts", mark("Payouts"), "operator", _PAYING),
    Item("/admin/papers", mark("Papers"), "operator", _PAYING),
    Item("/admin/ledger", mark("Ledger"), "operator", _PAYING),
    Item("/admin/jobs", mark("Jobs"), "operator", _HOUSE),
    Item("/admin/mails", mark("Mails"), "operator", _HOUSE),
    Item("/admin/audit", mark("Audit"), "operator", _HOUSE),
    Item("/admin/settings", mark("Settings"), "operator", _HOUSE),
    Item("/teams", mark("Teams"), "user"),
)

# Pages that stand under another's address, and the item that they belong to.
_BELONGS = (
    ("/admin/losses", "/admin/inbox"),
    ("/admin/checks", "/admin/ledger"),
    ("/admin/reports", "/admin/postbacks"),
    ("/partner/clicks", "/partner/statistics"),
    ("/partners/accruals", "/partners/earnings"),
    ("/partners/trail", "/partners/earnings"),
)


def sections(request: Request, viewer: Any) -> Sequence[Section]:
    """The sections this reader may open and this installation has, in their order."""
    here = _place(request.url.path)
    paths = _paths(request.app)
    shown = [item for item in _ITEMS if item.audience in audiences(viewer) and item.href in paths]
    opened = max((i.href for i in shown if _within(here, i.href)), key=len, default="")
    grouped: dict[str, list[Item]] = {}
    for item in shown:
        grouped.setdefault(item.section or item.href, []).append(item)
    return [_section(items, opened) for items in grouped.values()]


def _section(items: Sequence[Item], opened: str) -> Section:
    first = items[0]
    pages = [Section(item.href, item.label, item.href == opened) for item in items]
    if len(pages) == 1:
        return pages[0]
    return Section(first.href, first.section, any(page.current for page in pages), pages)


def audiences(viewer: Any) -> set[str]:
    """What a reader is, for the navigation."""
    if viewer is None:
        return {"visitor"}
    hats = {"operator"} if viewer.is_operator else set()
    if viewer.partner_id is not None or not hats:
        hats.add("partner")
    return hats | {"user"}


def _place(path: str) -> str:
    """The address whose item is marked while this one is open."""
    return next((item for page, item in _BELONGS if _within(path, page)), path)


def _within(path: str, href: str) -> bool:
    return path == href or path.startswith(f"{href}/")


@lru_cache(maxsize=8)
def _paths(app: Any) -> frozenset[str]:
    """Those of our sections that the application serves; one without its page is not shown."""
    return frozenset(item.href for item in _ITEMS if _serves(app, item.href))


def _serves(app: Any, path: str) -> bool:
    asked = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": []}
    return any(route.matches(dict(asked))[0] is Match.FULL for route in app.routes)
