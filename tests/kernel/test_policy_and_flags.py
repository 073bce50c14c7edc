"""Flags and policy numbers: switched while running, dated, audited, never rewriting the past."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from flowlink.kernel import flags, policy
from flowlink.kernel.flags import Flag
from flowlink.kernel.models import AuditRow, PolicyRow
from flowlink.kernel.money import Money


def change(session: Session, now: datetime, name: str, value: str, **more: Any) -> None:
    policy.change(session, name=name, value=value, actor="cli", reason="Summer.", now=now, **more)


def test_a_flag_follows_the_setting_until_it_is_switched(session: Session, now: datetime) -> None:
    assert flags.on(session, Flag.FEATURE_RISKBOT)

    flags.switch(session, flag=Flag.FEATURE_RISKBOT, on=False, actor="cli", reason="test", now=now)
    assert not flags.on(session, Flag.FEATURE_RISKBOT)

    session.expire_all()
    flags.switch(
        session,
        flag=Flag.FEATURE_RISKBOT,
        on=True,
        actor="cli",
        reason="test",
        now=now,
        ip="192.0.2.7",
    )
    session.expire_all()
    assert flags.on(session, Flag.FEATURE_RISKBOT)
    audited = select(AuditRow.ip).where(AuditRow.subject == "FEATURE_RISKBOT")
    assert session.scalars(audited.order_by(AuditRow.id)).all() == ["", "192.0.2.7"]


def test_a_change_holds_from_its_date_and_not_before(session: Session, now: datetime) -> None:
    later = now + timedelta(days=2)

    change(session, now, "PAYOUT_MIN_EUR", "15", effective_at=later)

    assert policy.at(session, now).payout_min == Money.from_cents(1000)
    assert policy.at(session, later).payout_min == Money.from_cents(1500)


def test_a_change_cannot_be_dated_back(session: Session, now: datetime) -> None:
    change(session, now, "PAYOUT_MIN_EUR", "15", effective_at=now - timedelta(days=2))

    assert policy.at(session, now - timedelta(days=1)).payout_min == Money.from_cents(1000)
    assert policy.at(session, now).payout_min == Money.from_cents(1500)


def test_the_last_of_two_changes_holds(session: Session, now: datetime) -> None:
    change(session, now, "PAYOUT_METHODS", "bank")
    change(session, now, "PAYOUT_METHODS", "paypal, bank")
    change(session, now, "PAYOUT_RESERVE_PCT", "0.2")
    change(session, now, "PARTNER_APPROVAL", "review")
    change(session, now, "RISK_HOLD_DAYS", "7")

    current = policy.at(session, now)

    assert current.payout_methods == ("paypal", "bank")
    assert current.reserve_bps == 2000
    assert current.partner_approval == "review"
    assert current.risk_hold_days == 7


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        ("NO_SUCH_NUMBER", "1", policy.UnknownPolicy),
        ("PAYOUT_MIN_EUR", "-1", policy.BadPolicyValue),
        ("PAYOUT_MIN_EUR", "ten", policy.BadPolicyValue),
        ("PAYOUT_RESERVE_PCT", "1.2", policy.BadPolicyValue),
        ("PAYOUT_METHODS", "cash", policy.BadPolicyValue),
        ("PAYOUT_METHODS", "", policy.BadPolicyValue),
        ("RISK_HOLD_DAYS", "-1", policy.BadPolicyValue),
        ("RISK_HOLD_DAYS", "0", policy.BadPolicyValue),
        ("RISK_VELOCITY_MAX_CLICKS_10M", "0", policy.BadPolicyValue),
        ("RISK_HOLD_DAYS", "soon", policy.BadPolicyValue),
        ("PARTNER_APPROVAL", "maybe", policy.BadPolicyValue),
    ],
)
def test_a_bad_change_leaves_no_trace(
    session: Session, now: datetime, name: str, value: str, error: type[Exception]
) -> None:
    with pytest.raises(error):
        change(session, now, name, value)

    assert session.scalar(select(func.count()).select_from(PolicyRow)) == 0


def test_a_change_needs_a_reason(session: Session, now: datetime) -> None:
    with pytest.raises(policy.ReasonMissing):
        policy.change(session, name="PAYOUT_MIN_EUR", value="5", actor="cli", reason=" ", now=now)


@pytest.mark.parametrize("table", ["kernel_policy", "kernel_audit"])
@pytest.mark.parametrize("act", ["UPDATE {} SET actor = ''", "DELETE FROM {}", "TRUNCATE {}"])
def test_the_past_cannot_be_rewritten(
    session: Session, now: datetime, table: str, act: str
) -> None:
    change(session, now, "PAYOUT_MIN_EUR", "15")
    session.flush()

    with pytest.raises(DBAPIError), session.begin_nested():
        session.connection().exec_driver_sql(act.format(table))
