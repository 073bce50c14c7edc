"""Secrets: sealed under a ring of keys, compared and named without being known."""

import pytest
from cryptography.fernet import InvalidToken

from flowlink.kernel import crypto, settings


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(settings, "_in_use", [settings.load(secret_keys="old-key")])
    return monkeypatch


def turn_ring(ring: pytest.MonkeyPatch, keys: str) -> None:
    ring.setattr(settings, "_in_use", [settings.load(secret_keys=keys)])


def test_a_secret_outlives_a_new_key_and_rotates_to_it(ring: pytest.MonkeyPatch) -> None:
    sealed = crypto.encrypt(b"DE02120300000000202051")

    turn_ring(ring, "new-key,old-key")
    assert crypto.decrypt(sealed) == b"DE02120300000000202051"
    rotated = crypto.rotate(sealed)

    turn_ring(ring, "new-key")
    assert crypto.decrypt(rotated) == b"DE02120300000000202051"
    with pytest.raises(InvalidToken):
        crypto.decrypt(sealed)


def test_a_hash_is_found_under_every_key_of_the_ring(ring: pytest.MonkeyPatch) -> None:
    before = crypto.keyed_hash("iban", "DE02")

    turn_ring(ring, "new-key,old-key")

    assert crypto.keyed_hash("iban", "DE02") != before
    assert before in crypto.keyed_hashes("iban", "DE02")


def test_a_hash_depends_on_purpose_and_parts(ring: pytest.MonkeyPatch) -> None:
    hashes = {
        crypto.keyed_hash("a", "x", "y"),
        crypto.keyed_hash("b", "x", "y"),
        crypto.keyed_hash("a", "xy"),
        crypto.keyed_hash("a", b"x", "z"),
    }

    assert len(hashes) == 4


def test_tokens_differ_and_are_compared_whole() -> None:
    one, other = crypto.token(), crypto.token()

    assert one != other
    assert crypto.digest(one) == crypto.digest(one)
    assert crypto.same(one, one)
    assert not crypto.same(one, other)
