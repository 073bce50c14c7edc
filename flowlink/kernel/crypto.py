"""Secrets: stored ones are encrypted under a key ring, shown ones are kept as digests."""

import hashlib
import hmac
import secrets
from base64 import urlsafe_b64encode
from functools import lru_cache

from cryptography.fernet import Fernet, MultiFernet

from flowlink.kernel import settings


@lru_cache(maxsize=4)
def _ring(keys: tuple[str, ...]) -> MultiFernet:
    assert keys, "SECRET_KEYS is empty"
    return MultiFernet([Fernet(urlsafe_b64encode(_derived(key, "encrypt"))) for key in keys])


@lru_cache(maxsize=64)
def _derived(key: str, purpose: str) -> bytes:
    """A key of its own for each purpose, so that one use says nothing about another."""
    return hmac.digest(key.encode(), f"flowlink:{purpose}".encode(), "sha256")


def encrypt(plain: bytes) -> bytes:
    """Encrypt under the newest key."""
    return _ring(settings.current().secret_keys).encrypt(plain)


def decrypt(sealed: bytes) -> bytes:
    """Decrypt with whichever key of the ring fits.

    :raises cryptography.fernet.InvalidToken: sealed under no key of the ring, or damaged.
    """
    return _ring(settings.current().secret_keys).decrypt(sealed)


def rotate(sealed: bytes) -> bytes:
    """The same secret under the newest key."""
    return _ring(settings.current().secret_keys).rotate(sealed)


def keyed_hashes(purpose: str, *parts: str | bytes) -> list[bytes]:
    """32 bytes that only we can compute, once for each key of the ring, newest first."""
    message = b"\x1f".join(part.encode() if isinstance(part, str) else part for part in parts)
    keys = settings.current().secret_keys
    return [hmac.digest(_derived(key, purpose), message, "sha256") for key in keys]


def keyed_hash(purpose: str, *parts: str | bytes) -> bytes:
    """32 bytes that only we can compute, under the newest key."""
    return keyed_hashes(purpose, *parts)[0]


def derived(purpose: str) -> list[bytes]:
    """A 32-byte key for this purpose alone, once for each key of the ring, newest first.

    For keyed BLAKE2b (RFC 7693), where a request cannot wait for HMAC.
    """
    return [_derived(key, purpose) for key in settings.current().secret_keys]


def token() -> str:
    """256 random bits that fit into a URL."""
    return secrets.token_urlsafe(32)


def digest(value: str) -> bytes:
    """How a random token is stored: whoever reads the table cannot use it."""
    return hashlib.sha256(value.encode()).digest()


def same(one: str, other: str) -> bool:
    """Compare two secrets in constant time."""
    return hmac.compare_digest(one.encode(), other.encode())
