"""Settings: where and with which secrets. Read once; the only reader of the environment."""

import secrets
from collections.abc import Callable
from functools import cached_property
from ipaddress import ip_network
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from flowlink.kernel.money import BadAmount, Money, parse_exact, parse_share

SHORTEST_SECRET = 24
_DEFAULT_SECRETS = {"change-me", "changeme", "secret", "admin"}

CommaList = Annotated[tuple[str, ...], NoDecode]
Euros = Annotated[Money, NoDecode]


class Settings(BaseSettings):
    """Every setting of the spec (section 2), under its own name in the environment or `.env`."""

    model_config = SettingsConfigDict(
        env_file=".env", frozen=True, extra="ignore", env_ignore_empty=True
    )

    database_url: str = ""
    base_url: str = ""
    port: int = Field(default=8000, ge=0, le=65535)
    flowlink_env: Literal["development", "production"] = "development"
    flowlink_data: Path | None = None
    xdg_data_home: Path | None = None
    flowlink_clock_offset_s: int = 0
    operator_email: str = "operator@localhost"
    partner_approval: Literal["open", "review"] = "open"
    trusted_proxies: CommaList = ("127.0.0.1", "::1")

    feature_supportbot: bool = True
    feature_riskbot: bool = True
    feature_byop: bool = True
    ticket_auto_close_days: int = Field(default=5, ge=1)
    risk_velocity_max_clicks_10m: int = Field(default=40, ge=1)
    risk_hold_days: int = Field(default=30, ge=1)
    payout_min_eur: Euros = Money.from_cents(10_00)
    payout_methods: CommaList = ("paypal", "bank")
    payout_approval_threshold_eur: Euros = Money.from_cents(200_00)
    payout_reserve_pct: int = 3000
    payout_release_days: int = Field(default=30, ge=0)
    default_epc_eur: Euros = Money.from_cents(20)
    partner_share_pct: int = 6000
    byop_default_revshare_pct: int = 4000
    partner_referral_pct: int = 500
    partner_referral_months: int = Field(default=12, ge=0)
    share_email_enabled: bool = True
    share_email_daily_limit: int = Field(default=200, ge=0)
    sharekit_default_hashtags: str = "#ia #tools #productivité"

    admin_secret: str = ""
    secret_keys: CommaList = ()
    email_from: str = "flowlink@localhost"
    email_from_name: str = "flowlink"
    smtp_url: str = ""
    brevo_api_key: str = ""
    brevo_url: str = "https://api.brevo.com"
    stripe_secret_key: str = ""
    stripe_webhook_secret: str = ""
    stripe_url: str = "https://api.stripe.com"
    paypal_client_id: str = ""
    paypal_client_secret: str = ""
    paypal_url: str = "https://api-m.paypal.com"
    paypal_webhook_id: str = ""
    payout_debtor_name: str = ""
    payout_debtor_iban: str = ""
    payout_debtor_bic: str = ""
    payment_provider: str = "sandbox"
    nats_url: CommaList = ()
    nats_replicas: int = Field(default=1, ge=1, le=5)
    nats_credentials: Path | None = None
    nats_ca: Path | None = None
    geoip_db: str = ""
    clicks_keep_days: int = Field(default=400, ge=0)
    clicks_archive: str = ""
    clicks_journal: str = ""
    clicks_journal_segment_mb: int = Field(default=16, ge=2, le=1024)
    clicks_journal_max_mb: int = Field(default=10_240, ge=4)
    clicks_journal_free_mb: int = Field(default=512, ge=0)
    s3_url: str = ""
    llm_url: str = ""
    llm_key: str = ""
    llm_model: str = ""
    whisper_model: str = ""
    docker_host: str = ""
    slack_webhook_url: str = ""
    discord_webhook_url: str = ""
    imap_url: str = ""
    pricing_specs: str = ""

    @field_validator("payout_methods", "secret_keys", "trusted_proxies", "nats_url", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """A comma-separated list, as the environment can hold it."""
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("payout_min_eur", "payout_approval_threshold_eur", mode="before")
    @classmethod
    def _euros(cls, value: object) -> object:
        return _read(Money.parse, value)

    @field_validator("default_epc_eur", mode="before")
    @classmethod
    def _price(cls, value: object) -> object:
        return _read(parse_exact, value)

    @field_validator(
        "payout_reserve_pct",
        "partner_share_pct",
        "byop_default_revshare_pct",
        "partner_referral_pct",
        mode="before",
    )
    @classmethod
    def _share(cls, value: object) -> object:
        try:
            return _read(parse_share, value)
        except ValueError:
            raise ValueError("a share lies between 0 and 1, such as 0.30") from None

    @field_validator("payout_min_eur", "payout_approval_threshold_eur", "default_epc_eur")
    @classmethod
    def _not_negative(cls, value: Money) -> Money:
        if value.micro < 0:
            raise ValueError("an amount that is not below zero, please")
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for item in value:
            ip_network(item, strict=False)  # says itself what is wrong
        return value

    @field_validator("payout_debtor_iban", "payout_debtor_bic")
    @classmethod
    def _without_spaces(cls, value: str) -> str:
        """As banks print it, in groups of four."""
        return "".join(value.split()).upper()

    @field_validator("base_url")
    @classmethod
    def _no_trailing_slash(cls, value: str) -> str:
        if value and not value.startswith(("http://", "https://")):
            raise ValueError("BASE_URL starts with http:// or https://")
        parts = urlsplit(value)
        if value and (not parts.hostname or parts.query or parts.fragment or "@" in parts.netloc):
            raise ValueError("BASE_URL names a host, and nothing after its path")
        return value.rstrip("/")

    @field_validator("nats_url")
    @classmethod
    def _nats_addresses(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if not all(url.startswith(("nats://", "tls://")) for url in value):
            raise ValueError("each address of NATS_URL starts with nats:// or tls://")
        return value

    @model_validator(mode="after")
    def _safe_in_production(self) -> "Settings":
        if self.flowlink_env != "production":
            return self
        if len(self.admin_secret) < SHORTEST_SECRET or self.admin_secret in _DEFAULT_SECRETS:
            raise ValueError(f"ADMIN_SECRET must have at least {SHORTEST_SECRET} characters")
        if not self.secret_keys or min(map(len, self.secret_keys)) < SHORTEST_SECRET:
            raise ValueError(f"each of SECRET_KEYS must have at least {SHORTEST_SECRET} characters")
        if self.flowlink_clock_offset_s:
            raise ValueError("FLOWLINK_CLOCK_OFFSET_S is for development only")
        return self

    @property
    def in_production(self) -> bool:
        return self.flowlink_env == "production"

    @cached_property
    def url(self) -> str:
        """The address that absolute links start with, without a trailing slash."""
        return self.base_url or f"http://127.0.0.1:{self.port}"

    @property
    def data_dir(self) -> Path:
        """Where the embedded database and the generated secrets live."""
        home = self.xdg_data_home or Path.home() / ".local" / "share"
        return (self.flowlink_data or home / "flowlink").absolute()

    @property
    def is_https(self) -> bool:
        return self.url.startswith("https://")


def _read(reader: Callable[[str], object], value: object) -> object:
    """What the text says, with an error of the kind that a settings' reader expects."""
    if not isinstance(value, str):
        return value
    try:
        return reader(value)
    except BadAmount as error:
        raise ValueError(str(error)) from None


def load(data: Path | None = None, **overrides: Any) -> Settings:
    """Read the environment and `.env`; in development, keep generated secrets in `data`.

    :raises pydantic.ValidationError: a setting is malformed, or unsafe in production (spec 1.5).
    """
    loaded = Settings(**overrides)
    if loaded.in_production or data is None:
        return loaded
    kept: dict[str, Any] = {}
    if not loaded.admin_secret:
        kept["admin_secret"] = _kept_secret(data / "admin-secret")
    if not loaded.secret_keys:
        kept["secret_keys"] = (_kept_secret(data / "secret-key"),)
    return Settings(**(overrides | kept)) if kept else loaded


def _kept_secret(path: Path) -> str:
    """The secret in this file, made on first use and readable by its owner alone."""
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        path.touch(mode=0o600, exist_ok=False)
        path.write_text(secrets.token_urlsafe(32))
    except FileExistsError:
        pass
    return path.read_text().strip()


_in_use: list[Settings] = []


def use(chosen: Settings) -> None:
    """Make these the settings of this process."""
    _in_use[:] = [chosen]


def current() -> Settings:
    """The settings of this process; `use` has to come first."""
    assert _in_use, "settings.use() comes first"
    return _in_use[0]
