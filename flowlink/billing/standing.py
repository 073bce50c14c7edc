"""Who takes payments here, and what is missing for it: for pages and for `flowlink doctor`."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.billing import stripe_events
from flowlink.billing.stripe_models import StripeListing
from flowlink.kernel import settings

_LIVE_KEYS = ("sk_live_", "rk_live_")


@dataclass(frozen=True, slots=True)
class Standing:
    """`missing` names settings; `is_real` is whether money moves; `listed_until` is up to when
    the provider's own list of events was read.
    """

    name: str
    missing: tuple[str, ...]
    is_real: bool
    webhook_url: str
    listed_until: datetime | None = None

    @property
    def is_ready(self) -> bool:
        return not self.missing


def chosen() -> Standing:
    """As the settings have it."""
    current = settings.current()
    name = current.payment_provider
    if name != stripe_events.NAME:
        missing = ("PAYMENT_PROVIDER",) if current.in_production or name != "sandbox" else ()
        return Standing(name, missing, is_real=False, webhook_url="")
    secrets = ("stripe_secret_key", "stripe_webhook_secret")
    return Standing(
        name=name,
        missing=tuple(one.upper() for one in secrets if not getattr(current, one)),
        is_real=current.stripe_secret_key.startswith(_LIVE_KEYS),
        webhook_url=f"{current.url}/webhooks/stripe",
    )


def read(session: Session) -> Standing:
    """As the settings have it, with what was heard of it."""
    now = chosen()
    listing = session.get(StripeListing, 1) if now.name == stripe_events.NAME else None
    return Standing(
        name=now.name,
        missing=now.missing,
        is_real=now.is_real,
        webhook_url=now.webhook_url,
        listed_until=None if listing is None else listing.listed_until,
    )
