"""Names that operators and partners choose: networks, offers, slugs of links; and random codes."""

import re
import secrets

from flowlink.kernel.errors import Invalid

CODE_LENGTH = 8
_UNAMBIGUOUS = "abcdefghjkmnpqrstuvwxyz23456789"
_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9 ._-]{0,62}[A-Za-z0-9])?")
_SLUG = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{1,48}[A-Za-z0-9]")
KEPT_CODE = re.compile(r"[A-Za-z0-9_-]{1,64}")  # what the edge takes for a code
_KEPT = re.compile(r"(?:ast|par|lnk|off|net|cnv|pb|clk)_", re.IGNORECASE)
_RESERVED = frozenset(
    (
        "admin",
        "api",
        "app",
        "assets",
        "default",
        "docs",
        "favicon",
        "flowlink",
        "go",
        "health",
        "healthz",
        "help",
        "l",
        "login",
        "logout",
        "metrics",
        "new",
        "null",
        "ops",
        "partner",
        "partners",
        "readyz",
        "robots",
        "root",
        "static",
        "support",
        "undefined",
        "www",
    )
)


class BadName(Invalid):
    message = "A name has up to 64 letters, digits, blanks, dots, hyphens and underscores."
    field = "name"


class BadSlug(Invalid):
    message = "A short name has 3 to 50 letters, digits, hyphens or underscores."
    field = "slug"


class ReservedSlug(Invalid):
    message = "This short name is reserved."
    field = "slug"


def check_name(text: str) -> str:
    """:raises BadName: too long, or with signs that a URL or a shell would trip over."""
    if _NAME.fullmatch(text) is None:
        raise BadName
    return text


def check_slug(text: str) -> str:
    """:raises BadSlug: :raises ReservedSlug: a word of ours, or what looks like one of our ids."""
    slug = text.strip()
    if _SLUG.fullmatch(slug) is None:
        raise BadSlug
    if slug.lower() in _RESERVED or _KEPT.match(slug):
        raise ReservedSlug
    return slug


def check_kept(code: str, *, own_host: bool) -> str:
    """A code that a link had elsewhere. On our own host our words stay ours.

    :raises ReservedSlug:
    """
    if own_host and (code.lower() in _RESERVED or _KEPT.match(code)):
        raise ReservedSlug
    return code


def random_code() -> str:
    """A code that can be read aloud and typed: no 0 and o, no 1, l and i."""
    return "".join(secrets.choice(_UNAMBIGUOUS) for _ in range(CODE_LENGTH))
