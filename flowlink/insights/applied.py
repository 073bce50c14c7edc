"""The terms that something was earned under, and who had said what: for trails."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.payouts import agreed, deals
from flowlink.payouts.ids import DEAL
from flowlink.payouts.models import Commission
from flowlink.payouts.terms import Terms


@dataclass(frozen=True)
class Origin:
    """Who said it: a deal with a group (by name), with the partner, with all; or something else."""

    word: str
    version: int | None = None
    group: str | None = None
    reason: str = ""
    since: datetime | None = None


@dataclass(frozen=True)
class Applied:
    """Terms with their origins field by field. `limited_by` says what made it less, if so.

    `rate_bps` is the share that a sale was paid by; None where tiers pay for its parts.
    """

    terms: Terms
    origins: Mapping[str, Origin]
    limited_by: str | None
    rate_bps: int | None = None


def of_commission(session: Session, conversion_id: UUID) -> Applied | None:
    """What a sale was earned under; None before it is posted, and where nothing was pinned."""
    commission = session.get(Commission, conversion_id)
    if commission is None:
        return None
    found = of_terms(session, commission.terms_id, limited_by=commission.limited_by)
    return None if found is None else replace(found, rate_bps=_rate(found.terms, commission))


def of_terms(
    session: Session, terms_id: UUID | None, *, limited_by: str | None = None
) -> Applied | None:
    """The pinned terms of this id."""
    if terms_id is None:
        return None
    terms = agreed.pinned(session, [terms_id])[terms_id]
    keys = [ids.parse(DEAL, said.partition(":")[0]) for said in _deals(terms)]
    known = deals.named(session, keys)
    origins = {}
    for name, said in terms.origins.items():
        word, _, version = said.partition(":")
        number = int(version) if version else None
        if not word.startswith(f"{DEAL}_"):
            origins[name] = Origin(word, number)
            continue
        deal, group = known[ids.parse(DEAL, word)]
        whose = "group" if deal.group_id else "partner" if deal.partner_id else "everybody"
        origins[name] = Origin(whose, number, group, deal.reason, deal.in_force_at)
    return Applied(terms=terms, origins=origins, limited_by=limited_by)


def _rate(terms: Terms, commission: Commission) -> int | None:
    if not terms.tiers:
        return terms.share_bps
    if terms.marginal or commission.volume_micro is None:
        return None
    return terms.rate(commission.volume_micro + commission.gross_micro)


def _deals(terms: Terms) -> Sequence[str]:
    return [said for said in terms.origins.values() if said.startswith(f"{DEAL}_")]
