"""Policy: business numbers, dated and audited. A change never rewrites the past."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlalchemy.orm import Session

from flowlink.kernel import audit, settings
from flowlink.kernel.errors import Invalid
from flowlink.kernel.models import PolicyRow
from flowlink.kernel.money import BadAmount, Money, parse_exact, parse_share


class UnknownPolicy(Invalid):
    message = "There is no such policy number."
    field = "name"


class BadPolicyValue(Invalid):
    message = "This value does not fit this policy number."
    field = "value"


class ReasonMissing(Invalid):
    message = "Please say why."
    field = "reason"


@dataclass(frozen=True, slots=True)
class Policy:
    """The business numbers in force at one moment (spec 2). Shares are in basis points."""

    payout_min: Money
    payout_methods: tuple[str, ...]
    payout_approval_threshold: Money
    reserve_bps: int
    release_days: int
    default_epc: Money
    partner_share_bps: int
    byop_share_bps: int
    referral_bps: int
    referral_months: int
    risk_velocity_max_clicks_10m: int
    risk_hold_days: int
    ticket_auto_close_days: int
    share_email_daily_limit: int
    partner_approval: str


def _money(text: str) -> Money:
    amount = Money.parse(text)
    if amount.micro < 0:
        raise BadPolicyValue
    return amount


def _count(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 1_000_000:
        raise BadPolicyValue
    return number


def _some(text: str) -> int:
    number = _count(text)
    if number < 1:
        raise BadPolicyValue
    return number


def _price(text: str) -> Money:
    price = parse_exact(text)
    if price.micro < 0:
        raise BadPolicyValue
    return price


def _methods(text: str) -> tuple[str, ...]:
    methods = tuple(part.strip() for part in text.split(",") if part.strip())
    if not methods or not set(methods) <= {"paypal", "bank"}:
        raise BadPolicyValue
    return methods


def _approval(text: str) -> str:
    if text not in {"open", "review"}:
        raise BadPolicyValue
    return text


# name in the spec -> (field of Policy, setting with the default, reader of a changed value)
NAMES: dict[str, tuple[str, str, Callable[[str], Any]]] = {
    "PAYOUT_MIN_EUR": ("payout_min", "payout_min_eur", _money),
    "PAYOUT_METHODS": ("payout_methods", "payout_methods", _methods),
    "PAYOUT_APPROVAL_THRESHOLD_EUR": (
        "payout_approval_threshold",
        "payout_approval_threshold_eur",
        _money,
    ),
    "PAYOUT_RESERVE_PCT": ("reserve_bps", "payout_reserve_pct", parse_share),
    "PAYOUT_RELEASE_DAYS": ("release_days", "payout_release_days", _count),
    "DEFAULT_EPC_EUR": ("default_epc", "default_epc_eur", _price),
    "PARTNER_SHARE_PCT": ("partner_share_bps", "partner_share_pct", parse_share),
    "BYOP_DEFAULT_REVSHARE_PCT": ("byop_share_bps", "byop_default_revshare_pct", parse_share),
    "PARTNER_REFERRAL_PCT": ("referral_bps", "partner_referral_pct", parse_share),
    "PARTNER_REFERRAL_MONTHS": ("referral_months", "partner_referral_months", _count),
    "RISK_VELOCITY_MAX_CLICKS_10M": (
        "risk_velocity_max_clicks_10m",
        "risk_velocity_max_clicks_10m",
        _some,
    ),
    "RISK_HOLD_DAYS": ("risk_hold_days", "risk_hold_days", _some),
    "TICKET_AUTO_CLOSE_DAYS": ("ticket_auto_close_days", "ticket_auto_close_days", _count),
    "SHARE_EMAIL_DAILY_LIMIT": ("share_email_daily_limit", "share_email_daily_limit", _count),
    "PARTNER_APPROVAL": ("partner_approval", "partner_approval", _approval),
}


_LATEST = (
    select(PolicyRow.name, PolicyRow.value)
    .ext(distinct_on(PolicyRow.name))
    .where(PolicyRow.effective_at <= bindparam("now"))
    .order_by(PolicyRow.name, PolicyRow.effective_at.desc(), PolicyRow.id.desc())
)


def at(session: Session, now: datetime) -> Policy:
    """The numbers in force at `now`: the latest change that has taken effect, else the setting."""
    changed = {row.name: row.value for row in session.execute(_LATEST, {"now": now})}
    defaults = settings.current()
    values = {
        field: read(changed[name]) if name in changed else getattr(defaults, setting)
        for name, (field, setting, read) in NAMES.items()
    }
    return Policy(**values)


def change(
    session: Session,
    *,
    name: str,
    value: str,
    actor: str,
    reason: str,
    now: datetime,
    effective_at: datetime | None = None,
    ip: str = "",
) -> None:
    """Let `name` be `value` from `effective_at` (now, unless a later moment is given).

    :raises UnknownPolicy: no number has this name.
    :raises BadPolicyValue: the value cannot be read, or lies outside what makes sense.
    :raises ReasonMissing: every change keeps its reason.
    """
    if name not in NAMES:
        raise UnknownPolicy
    if not reason.strip():
        raise ReasonMissing
    try:
        NAMES[name][2](value)
    except (BadAmount, ValueError):
        raise BadPolicyValue from None
    starts_at = max(effective_at or now, now)
    session.add(
        PolicyRow(
            name=name, value=value, effective_at=starts_at, actor=actor, reason=reason, at=now
        )
    )
    audit.record(
        session,
        actor,
        "changed policy",
        name,
        now,
        ip,
        value=value,
        reason=reason,
        effective_at=starts_at.isoformat(),
    )
