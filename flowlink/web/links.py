"""Addresses made out of the present one: another language, another theme, the next page."""

from urllib.parse import urlencode, urlsplit

from fastapi import Request


def with_query(request: Request, **changes: object) -> str:
    """This page's address with some of its query changed; None takes a name out."""
    kept = [(name, value) for name, value in request.query_params.multi_items()]
    query = [(name, value) for name, value in kept if name not in changes]
    query += [(name, str(value)) for name, value in changes.items() if value is not None]
    path = "/" + request.url.path.lstrip("/")  # `//host` would be another site
    return f"{path}?{urlencode(query)}" if query else path


def switch(request: Request, name: str, value: str) -> str:
    """The same page with `?lang=` or `?theme=`.

    The answer to a form has no address of its own that a link could open, so its reader is
    sent back to the page that held the form.
    """
    if request.method in {"GET", "HEAD"}:
        return with_query(request, **{name: value})
    path = came_from(request)
    return f"{path}{'&' if '?' in path else '?'}{urlencode({name: value})}"


def came_from(request: Request) -> str:
    """Path and query of the page of ours that led here, else the front page."""
    referer = urlsplit(request.headers.get("referer", ""))
    if referer.netloc != request.headers.get("host") or not referer.path.startswith("/"):
        return "/"
    path = "/" + referer.path.lstrip("/")
    return f"{path}?{referer.query}" if referer.query else path
