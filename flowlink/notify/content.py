"""What a mail says, once rendered; and the same with its secrets struck out."""

import json
from dataclasses import asdict, dataclass

from flowlink.kernel import crypto

STRUCK_OUT = "•••"


@dataclass(frozen=True, slots=True)
class Content:
    """A mail as its reader sees it."""

    subject: str
    text: str
    html: str


def seal(content: Content) -> bytes:
    return crypto.encrypt(json.dumps(asdict(content)).encode())


def unseal(sealed: bytes) -> Content:
    return Content(**json.loads(crypto.decrypt(sealed)))


def seal_context(context: dict[str, str]) -> bytes:
    return crypto.encrypt(json.dumps(context).encode())


def unseal_context(sealed: bytes) -> dict[str, str]:
    opened: dict[str, str] = json.loads(crypto.decrypt(sealed))
    return opened


def struck_out(context: dict[str, str]) -> dict[str, str]:
    """The same names without what they stand for."""
    return dict.fromkeys(context, STRUCK_OUT)
