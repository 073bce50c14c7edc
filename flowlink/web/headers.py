"""What every answer carries for the browser's protection, and how a request shows what it is."""

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import Scope

from flowlink.kernel import settings

_ALWAYS = {
    "x-content-type-options": "nosniff",
    # Not `no-referrer`: with it a form of ours would be sent with `Origin: null`.
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
}
_TWO_YEARS = "max-age=63072000; includeSubDomains"


def policy(nonce: str) -> str:
    """The content security policy of a page: our files, this page's own scripts, nothing else."""
    return "; ".join(
        (
            "default-src 'none'",
            f"script-src 'self' 'nonce-{nonce}'",
            f"style-src 'self' 'nonce-{nonce}'",
            "img-src 'self' data:",
            "font-src 'self'",
            "connect-src 'self'",
            "manifest-src 'self'",
            "frame-src 'self'",
            "form-action 'self'",
            "base-uri 'none'",
            "frame-ancestors 'none'",
            "object-src 'none'",
        )
    )


def protect(scope: Scope, sent: MutableHeaders) -> None:
    """Add what is missing; a route that set its own value knows why."""
    state = scope.get("state", {})
    for name, value in _ALWAYS.items():
        sent.setdefault(name, value)
    sent.setdefault("content-security-policy", policy(state.get("csp_nonce", "")))
    sent.setdefault("cache-control", "no-store")
    sent.setdefault("x-request-id", state.get("request_id", ""))
    if settings.current().base_url.startswith("https://"):
        sent.setdefault("strict-transport-security", _TWO_YEARS)
    if sent.get("content-type", "").startswith("text/html"):
        sent.setdefault("content-language", state.get("lang", ""))
        sent.add_vary_header("accept-language, cookie")


def is_keyed(headers: Headers) -> bool:
    """Signed in by a header that no other site can make a browser send (spec 1.4, 1.5)."""
    bearer = headers.get("authorization", "").lower().startswith("bearer ")
    return bearer or "x-admin-secret" in headers
