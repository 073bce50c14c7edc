"""Pages out of templates: one environment a language, and what every template can use."""

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache, partial
from hashlib import sha256
from pathlib import Path
from uuid import UUID

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse
from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PrefixLoader,
    StrictUndefined,
    select_autoescape,
)
from markupsafe import Markup

from flowlink.kernel import ids
from flowlink.kernel.money import Money
from flowlink.web import i18n, links, nav, static, tables

_PACKAGE = Path(__file__).parent.parent
_OWN_TEMPLATES = Path(__file__).parent / "templates"


def page(
    request: Request, template: str, /, *, status_code: int = 200, **context: object
) -> HTMLResponse:
    """A whole page in the reader's language."""
    lang: str = request.state.lang
    body = environment(lang).get_template(template).render({**_common(request, lang), **context})
    return HTMLResponse(body, status_code=status_code)


def fragment(
    request: Request, template: str, /, *, status_code: int = 200, **context: object
) -> HTMLResponse:
    """A `_part.html` for HTMX to put in its place."""
    return page(request, template, status_code=status_code, **context)


def see_other(url: str) -> RedirectResponse:
    """After a form: go and look at the result."""
    return RedirectResponse(url, status_code=303)


@cache
def environment(lang: str) -> Environment:
    """The templates of all modules in one language; mails are rendered with it too."""
    made = Environment(
        loader=_loader(),
        autoescape=select_autoescape(disabled_extensions=["txt"], default=True),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    made.install_gettext_translations(i18n.catalogue(lang), newstyle=True)  # type: ignore[attr-defined]
    made.filters.update(_filters(lang))
    made.globals.update(lang=lang, languages=i18n.LANGUAGES, static=static.url, Money=Money)
    return made


def _loader() -> BaseLoader:
    """`ui/…` is ours; `partners/…` is `flowlink/partners/templates/…`."""
    modules: Mapping[str, BaseLoader] = {
        folder.parent.name: FileSystemLoader(folder) for folder in _PACKAGE.glob("*/templates")
    }
    return ChoiceLoader([FileSystemLoader(_OWN_TEMPLATES), PrefixLoader(modules)])


def _common(request: Request, lang: str) -> dict[str, object]:
    viewer = getattr(request.state, "viewer", None)
    return {
        "request": request,
        "viewer": viewer,
        "nav": nav.sections(request, viewer),
        "theme": request.state.theme,
        "csp_nonce": request.state.csp_nonce,
        "url_for_lang": partial(links.switch, request, "lang"),
        "url_for_theme": partial(links.switch, request, "theme"),
        "url_with": partial(links.with_query, request),
    }


def _filters(lang: str) -> dict[str, object]:
    return {
        "money": partial(i18n.money, lang=lang),
        "number": partial(i18n.number, lang=lang),
        "percent": partial(i18n.percent, lang=lang),
        "at": partial(_at, lang=lang),
        "on": partial(_on, lang=lang),
        "month": partial(i18n.month, lang=lang),
        "public_id": _public_id,
        "figure": partial(_figure, lang=lang),
        "label_cells": tables.label_cells,
        "named": tables.named,
        "short_hash": _short_hash,
        "translated": partial(i18n.translate, lang),
        "kept": partial(i18n.kept, lang),
    }


def _at(moment: datetime | str, lang: str) -> Markup:
    """A moment, or the ISO text of one, that app.js shows in the reader's own zone."""
    if isinstance(moment, str):
        moment = datetime.fromisoformat(moment)
    stamp = moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Markup('<time datetime="{}" data-local>{}</time>').format(
        stamp, i18n.moment(moment, lang)
    )


def _on(value: date, lang: str) -> Markup:
    day = value.astimezone(UTC).date() if isinstance(value, datetime) else value
    return Markup('<time datetime="{}">{}</time>').format(day.isoformat(), i18n.day(day, lang))


def _public_id(key: UUID, prefix: str) -> str:
    return ids.public(prefix, key)


def _figure(value: int, format: str, lang: str) -> str:  # noqa: A002 - the macro's own word
    """A number of a chart as its axis would say it; money is in millionths."""
    if format == "money":
        return i18n.money(Money(value), lang)
    return f"{i18n.number(value, lang)}\xa0%" if format == "percent" else i18n.number(value, lang)


def _short_hash(text: str) -> str:
    """An id for an element, out of what it shows."""
    return sha256(text.encode()).hexdigest()[:10]
