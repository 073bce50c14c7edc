"""The velocity rule (spec 3): so many clicks of one partner in ten minutes, and they are held.

All clicks count, bots too. Any ten minutes, to the millisecond: the minute counts only say where
to look. Clicks that came late are seen as long as their minute is counted (two days).
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import flags
from flowlink.kernel.flags import Flag as FeatureFlag
from flowlink.kernel.policy import Policy
from flowlink.partners import queries as partners
from flowlink.partners.ids import PartnerId
from flowlink.risk import queries, scales, service as risk, traffic
from flowlink.risk.models import Flag, Hold
from flowlink.tracking import clickid

WINDOW = timedelta(minutes=10)
LOOKBACK = timedelta(days=2)
AHEAD = timedelta(minutes=1)  # another machine's clock may be that much before ours
ACTOR = "job:risk_sweep"
RULE = "velocity"

# Eleven minutes of counts hold any ten: none is missed, and the clicks themselves decide.
_BUSY = text(
    """
    SELECT p.id, max(c.clicks)::int FROM (
      SELECT partner, sum(valid + flagged) OVER (
               PARTITION BY partner ORDER BY minute
               RANGE BETWEEN CURRENT ROW AND INTERVAL '10 minutes' FOLLOWING) AS clicks
        FROM tracking_click_minute AS m
       WHERE minute BETWEEN :since AND :until
         AND partner IN (
           SELECT partner FROM tracking_click_minute WHERE minute BETWEEN :since AND :until
            GROUP BY partner HAVING sum(valid + flagged) >= :least)
         AND minute >= coalesce((
           SELECT date_trunc('minute', max(h.lifted_at)) FROM risk_hold AS h
             JOIN partners_partner AS q ON q.id = h.partner_id WHERE q.number = m.partner),
           '-infinity')
    ) AS c JOIN partners_partner AS p ON p.number = c.partner
     WHERE NOT EXISTS (SELECT FROM risk_hold AS h WHERE h.partner_id = p.id
                          AND h.flag = 'hold' AND h.lifted_at IS NULL)
     GROUP BY p.id HAVING max(c.clicks) >= :least ORDER BY p.id
    """
)
_FULLEST = text(
    """
    SELECT id, clicks FROM (
      SELECT id, count(*) OVER (ORDER BY id >> 22 RANGE BETWEEN CURRENT ROW
                                AND :span FOLLOWING)::int AS clicks
        FROM tracking_click WHERE partner = :partner AND id >= :low AND id < :high
    ) AS c WHERE clicks >= :most ORDER BY clicks DESC, id LIMIT 1
    """
)


def candidates(session: Session, *, now: datetime, policy: Policy) -> Sequence[PartnerId]:
    """Partners whose counts say that the rule may fit, and whom no hold of it binds yet."""
    least = max(policy.risk_velocity_max_clicks_10m * scales.LEAST // scales.USUAL, 1)
    asked = {"since": now - LOOKBACK, "until": now + AHEAD, "least": least}
    busy = {PartnerId(row[0]): int(row[1]) for row in session.execute(_BUSY, asked)}
    limits = scales.limits(session, partner_ids=list(busy), policy=policy)
    return [partner_id for partner_id, clicks in busy.items() if clicks >= limits[partner_id]]


def judge(session: Session, *, partner_id: PartnerId, now: datetime, policy: Policy) -> Hold | None:
    """Hold this partner if the rule fits; the hold, or nothing when it does not or binds already.

    Everything is read under the lock that lifting takes: clicks that a person has cleared in the
    meantime are not counted.
    """
    binding = risk.lock_hold(session, partner_id=partner_id)
    if not flags.on(session, FeatureFlag.FEATURE_RISKBOT):
        return None
    if binding is not None and any(
        hold.flag == Flag.HOLD for hold in queries.holds_of(session, partner_id)
    ):
        return None
    partner = partners.get(session, partner_id)
    limit = scales.limits(session, partner_ids=[partner_id], policy=policy)[partner_id]
    cleared = queries.cleared_at(session, partner_id)
    since = max(now - LOOKBACK, cleared) if cleared else now - LOOKBACK
    asked = {
        "partner": partner.number,
        "low": clickid.floor(since),
        "high": clickid.floor(now + AHEAD),
        "span": WINDOW // timedelta(milliseconds=1) - 1,
        "most": limit,
    }
    found = session.execute(_FULLEST, asked).first()
    if found is None:
        return None
    begin = clickid.at(found.id)
    clicks = traffic.clicks_of(session, partner.number, since=begin, until=begin + WINDOW)
    facts = traffic.evidence(clicks, traffic.seconds_to_sale(session, clicks))
    return risk.place_hold(
        session,
        partner_id=partner_id,
        reason=f"{found.clicks} clicks within ten minutes; the limit is {limit}.",
        evidence={"rule": RULE, "limit": limit} | facts,
        actor=ACTOR,
        now=now,
        policy=policy,
    )
