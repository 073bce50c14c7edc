"""Settings: read by the spec's names, refused when unsafe, with secrets kept for development."""

from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from flowlink.kernel import settings
from flowlink.kernel.money import Money

GOOD: dict[str, Any] = {
    "admin_secret": "a" * 32,
    "secret_keys": "k" * 32,
    "flowlink_env": "production",
}


def test_amounts_and_shares_are_read_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAYOUT_MIN_EUR", "12.5")
    monkeypatch.setenv("PAYOUT_RESERVE_PCT", "0.25")
    monkeypatch.setenv("PAYOUT_METHODS", "bank")
    monkeypatch.setenv("TICKET_AUTO_CLOSE_DAYS", "")

    loaded = settings.load()

    assert loaded.payout_min_eur == Money.from_cents(1250)
    assert loaded.payout_reserve_pct == 2500
    assert loaded.payout_methods == ("bank",)
    assert loaded.ticket_auto_close_days == 5


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("PAYOUT_RESERVE_PCT", "1.5"),
        ("PAYOUT_MIN_EUR", "ten"),
        ("BASE_URL", "example.org"),
        ("BASE_URL", "https://"),
        ("BASE_URL", "https://links.example/?a=b"),
        ("BASE_URL", "https://me:secret@links.example"),
        ("DEFAULT_EPC_EUR", "-0.01"),
        ("PAYOUT_MIN_EUR", "-1"),
        ("TRUSTED_PROXIES", "127.0.0.1,proxy"),
        ("FLOWLINK_ENV", "prod"),
    ],
)
def test_a_malformed_setting_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)

    with pytest.raises(ValidationError):
        settings.load()


@pytest.mark.parametrize(
    "wrong",
    [
        {"admin_secret": ""},
        {"admin_secret": "change-me"},
        {"secret_keys": ""},
        {"secret_keys": "short"},
        {"flowlink_clock_offset_s": 60},
    ],
)
def test_production_refuses_what_is_unsafe(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        settings.load(None, **(GOOD | wrong))


def test_production_starts_with_good_secrets() -> None:
    loaded = settings.load(None, **GOOD, base_url="https://example.org/")

    assert loaded.in_production
    assert loaded.url == "https://example.org"
    assert loaded.is_https


def test_development_keeps_the_secrets_it_makes(tmp_path: Path) -> None:
    first, second = settings.load(tmp_path), settings.load(tmp_path)

    assert first.admin_secret == second.admin_secret
    assert first.secret_keys == second.secret_keys
    assert len(first.admin_secret) >= settings.SHORTEST_SECRET
    assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}


def test_given_secrets_are_not_replaced(tmp_path: Path) -> None:
    loaded = settings.load(tmp_path, admin_secret="mine", secret_keys="one,two")

    assert (loaded.admin_secret, loaded.secret_keys) == ("mine", ("one", "two"))
    assert not list(tmp_path.iterdir())
