"""Which deals apply to whom at which moment; and the terms that earnings are pinned to."""

import hashlib
import json
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.kernel.policy import Policy
from flowlink.partners.group_models import Membership
from flowlink.payouts.deal_models import Deal, PinnedTerms
from flowlink.payouts.ids import DEAL
from flowlink.payouts.terms import Terms, Tier
from flowlink.tracking.models import OfferVersion

_FIELDS = ("cpc_micro", "reserve_bps", "release_days", "cap_day_micro", "cap_month_micro", "months")
Scope = tuple[UUID | None, UUID | None, UUID | None]


class Agreed:
    """All deals that can concern these partners and offers, read once."""

    def __init__(
        self, session: Session, *, partner_ids: Collection[UUID], offer_ids: Collection[UUID]
    ) -> None:
        self._groups: dict[UUID, list[Membership]] = {}
        of_them = select(Membership).where(Membership.partner_id.in_(partner_ids))
        for each in session.scalars(of_them.order_by(Membership.id)):
            self._groups.setdefault(each.partner_id, []).append(each)
        groups = {one.group_id for rows in self._groups.values() for one in rows if one.group_id}
        whose = or_(
            Deal.partner_id.in_(partner_ids),
            Deal.group_id.in_(groups),
            Deal.group_id.is_(None) & Deal.partner_id.is_(None),
        )
        what = or_(Deal.offer_id.is_(None), Deal.offer_id.in_(offer_ids))
        self._deals: dict[Scope, list[Deal]] = {}
        for deal in session.scalars(select(Deal).where(whose, what).order_by(Deal.version.desc())):
            scope = deal.group_id, deal.partner_id, deal.offer_id
            self._deals.setdefault(scope, []).append(deal)

    def group_at(self, partner_id: UUID, at: datetime) -> UUID | None:
        """The group that the partner belonged to at that moment."""
        known = [one for one in self._groups.get(partner_id, []) if one.from_at <= at]
        return known[-1].group_id if known else None

    def deals(self, *, partner_id: UUID, offer_id: UUID, at: datetime) -> Sequence[Deal]:
        """The deals in force at that moment, the most special first."""
        group_id = self.group_at(partner_id, at)
        scopes: list[Scope] = [(None, partner_id, offer_id), (None, partner_id, None)]
        if group_id is not None:
            scopes += [(group_id, None, offer_id), (group_id, None, None)]
        scopes.append((None, None, offer_id))
        found = [in_force(self._deals.get(scope, []), at) for scope in scopes]
        return [deal for deal in found if deal is not None]

    def sale_terms(
        self,
        *,
        partner_id: UUID,
        version: OfferVersion,
        share_bps: int,
        own_content: bool,
        at: datetime,
        policy: Policy,
    ) -> Terms:
        """What a sale earns. `share_bps` is what tracking fixed when the sale was reported."""
        found = self.deals(partner_id=partner_id, offer_id=version.offer_id, at=at)
        origin = _origin(version, own_content=own_content)
        terms = _plain(found, policy, share_bps=share_bps, origin=origin)
        if own_content:
            return _own(found, terms)
        return _with_tiers(found, terms)

    def click_terms(
        self, *, partner_id: UUID, version: OfferVersion, at: datetime, policy: Policy
    ) -> Terms:
        """What a click earns: `cpc_micro` is always there, the share plays no part."""
        found = self.deals(partner_id=partner_id, offer_id=version.offer_id, at=at)
        terms = _plain(found, policy, share_bps=0, origin=f"offer:{version.version}")
        if terms.cpc_micro is not None:
            return terms
        origins = {**terms.origins, "cpc_micro": f"offer:{version.version}"}
        return replace(terms, cpc_micro=version.cpc_micro, origins=origins)


def in_force(versions: Sequence[Deal], at: datetime) -> Deal | None:
    """What is agreed at that moment, of one scope's versions, the newest first."""
    begun = next((deal for deal in versions if deal.in_force_at <= at), None)
    if begun is None or begun.ended or (begun.until_at is not None and begun.until_at <= at):
        return None
    return begun


def pin(session: Session, terms: Iterable[Terms]) -> dict[bytes, UUID]:
    """Keep these terms for good; their ids by digest. The same terms are kept once."""
    wanted = {digest(each): each.body() for each in terms}
    if not wanted:
        return {}
    rows = [{"digest": key, "body": wanted[key]} for key in sorted(wanted)]
    session.execute(insert(PinnedTerms).values(rows).on_conflict_do_nothing())
    found = select(PinnedTerms.digest, PinnedTerms.id).where(PinnedTerms.digest.in_(wanted))
    return dict(session.execute(found).all())


def pinned(session: Session, terms_ids: Collection[UUID]) -> dict[UUID, Terms]:
    """The terms behind these ids."""
    rows = select(PinnedTerms).where(PinnedTerms.id.in_(terms_ids))
    return {row.id: Terms.read(row.body) for row in session.scalars(rows)}


def digest(terms: Terms) -> bytes:
    """The same for the same terms, for ever."""
    return hashlib.sha256(json.dumps(terms.body(), sort_keys=True).encode()).digest()


def _plain(found: Sequence[Deal], policy: Policy, *, share_bps: int, origin: str) -> Terms:
    """Every field but share and tiers: who says it first, counts."""
    values: dict[str, Any] = {"reserve_bps": policy.reserve_bps}
    values["release_days"] = policy.release_days
    origins = {"share_bps": origin, "reserve_bps": "policy", "release_days": "policy"}
    for name in _FIELDS:
        saying = next((deal for deal in found if getattr(deal, name) is not None), None)
        if saying is not None:
            values[name], origins[name] = getattr(saying, name), _named(saying)
    return Terms(share_bps=share_bps, origins=origins, **values)


def _own(found: Sequence[Deal], terms: Terms) -> Terms:
    """Content that the partner brought has a share of its own, and no tiers."""
    terms = replace(terms, own_content=True)
    for deal in found:
        if deal.own_share_bps is not None:
            origins = {**terms.origins, "share_bps": _named(deal)}
            return replace(terms, share_bps=deal.own_share_bps, origins=origins)
    return terms


def _with_tiers(found: Sequence[Deal], terms: Terms) -> Terms:
    """A more special share does away with the tiers of a less special deal."""
    for place, deal in enumerate(found):
        if deal.share_bps is not None or deal.tiers:
            tiers = tuple(Tier(**tier) for tier in deal.tiers)
            rest = [one.share_bps for one in found[place:] if one.share_bps is not None]
            origins = {**terms.origins, "share_bps": _named(deal)}
            return replace(
                terms,
                share_bps=rest[0] if rest else terms.share_bps,
                tiers=tiers,
                marginal=deal.marginal,
                origins=origins,
            )
    return terms


def _origin(version: OfferVersion, *, own_content: bool) -> str:
    if own_content:
        return "own_content"
    return "policy" if version.share_bps is None else f"offer:{version.version}"


def _named(deal: Deal) -> str:
    return f"{ids.public(DEAL, deal.id)}:{deal.version}"
