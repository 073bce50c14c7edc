"""The pages of the edge: rendered once a language, served without a database or a session."""

from collections.abc import Mapping
from functools import cache

from flowlink.web import i18n, render

GONE = "gone"
LATER = "later"
METHOD = "method"

_TEXTS: Mapping[str, tuple[str, str]] = {
    GONE: (
        i18n.mark("This link leads nowhere"),
        i18n.mark(
            "It may have been mistyped, or its owner has switched it off. Ask them for a new one."
        ),
    ),
    LATER: (
        i18n.mark("One moment, please"),
        i18n.mark("The link is right, but we cannot follow it just now. Please try again shortly."),
    ),
    METHOD: (
        i18n.mark("A short link can only be opened"),
        i18n.mark("Nothing can be sent to this address."),
    ),
}


@cache
def page(kind: str, lang: str) -> bytes:
    """The whole page in a language."""
    title, body = (i18n.translate(lang, text) for text in _TEXTS[kind])
    template = render.environment(lang).get_template("tracking/stop.html")
    return template.render(title=title, body=body).encode()
