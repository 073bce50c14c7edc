"""E-mail addresses: the one form under which we know somebody."""

import unicodedata

from email_validator import EmailNotValidError, validate_email

from flowlink.kernel.errors import Invalid

LENGTH_MAX = 254  # RFC 5321, 4.5.3.1.3, less the angle brackets
# Names that never leave a network (RFC 6761, 6762): a fresh installation's operator has one.
_PRIVATE = {"localhost", "local", "invalid", "test"}
_PUBLIC_SUFFIX = ".example.org"


class BadEmail(Invalid):
    message = "This is not an e-mail address."
    field = "email"


def normalize(text: str) -> str:
    """Trimmed, in lower case and in composed Unicode, so that one person is one user.

    :raises BadEmail: anything else, line breaks and lists of addresses included.
    """
    raw = text.strip()
    if not raw or len(raw) > LENGTH_MAX:
        raise BadEmail
    is_private = raw.rpartition("@")[2].rpartition(".")[2].lower() in _PRIVATE
    # The library refuses private names; it judges the rest of such an address under a public one.
    suffix = _PUBLIC_SUFFIX if is_private else ""
    try:
        checked = validate_email(raw + suffix, check_deliverability=False, strict=True)
    except EmailNotValidError:
        raise BadEmail from None
    address = checked.normalized.removesuffix(suffix).lower()
    return unicodedata.normalize("NFC", address)
