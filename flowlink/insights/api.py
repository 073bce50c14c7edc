"""The operator's summary as JSON (spec 8)."""

from fastapi import APIRouter, Depends
from pydantic import BaseModel

from flowlink.identity.deps import require_operator
from flowlink.insights import figures
from flowlink.insights.figures import Summary
from flowlink.kernel import clock
from flowlink.kernel.money import Money
from flowlink.tracking.queries import CurrentOffer
from flowlink.web.sessions import Db

router = APIRouter(tags=["operator"])


class TermsOut(BaseModel):
    mode: str


class OfferOut(BaseModel):
    headline_cpc: float
    epc_7d: float
    terms: TermsOut


class SummaryOut(BaseModel):
    """Plain numbers; amounts are euros, rounded half even to cents."""

    clicks_7d: int
    conv_7d: int
    rev_7d: float
    epc_7d: float
    available: float
    reserved: float
    paid: float
    pending: int
    approved: int
    posted: int
    failed: int
    holds: int
    postbacks_24h: int
    partners_active: int
    offer: OfferOut | None


@router.get("/api/admin/summary", dependencies=[Depends(require_operator)])
def summary(session: Db) -> SummaryOut:
    """The figures of the monitoring page.

    `pending`, `approved`, `posted` and `failed` count assignments of content: none exist yet.
    """
    shown = figures.summary(session, now=clock.now())
    return _out(shown)


def _out(shown: Summary) -> SummaryOut:
    return SummaryOut(
        clicks_7d=shown.clicks_7d,
        conv_7d=shown.conversions_7d,
        rev_7d=_euros(shown.revenue_7d),
        epc_7d=_euros(shown.epc_7d),
        available=_euros(shown.available),
        reserved=_euros(shown.reserved),
        paid=_euros(shown.paid),
        pending=shown.assignments["pending"],
        approved=shown.assignments["approved"],
        posted=shown.assignments["posted"],
        failed=shown.assignments["failed"],
        holds=shown.holds,
        postbacks_24h=shown.postbacks_24h,
        partners_active=shown.partners_active,
        offer=_offer(shown.offer),
    )


def _offer(offer: CurrentOffer | None) -> OfferOut | None:
    if offer is None:
        return None
    return OfferOut(
        headline_cpc=_euros(offer.headline_cpc),
        epc_7d=_euros(offer.epc_7d or Money.zero()),
        terms=TermsOut(mode=str(offer.terms.mode)),
    )


def _euros(amount: Money) -> float:
    """A plain JSON number, as the contract gives it for the summary; nobody reckons with it."""
    return float(amount.round_cents().decimal())
