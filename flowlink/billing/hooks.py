"""What payment providers send, and the page of the built-in one."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from fastapi.concurrency import run_in_threadpool
from pydantic import BaseModel

from flowlink.billing import inbox, payday, sandbox, stripe_events
from flowlink.billing.sandbox import Card
from flowlink.kernel import clock
from flowlink.kernel.errors import NotFound
from flowlink.kernel.money import Money
from flowlink.web.forms import CheckboxField, Line
from flowlink.web.render import page, see_other
from flowlink.web.sessions import Db

router = APIRouter(include_in_schema=False)


class CardForm(BaseModel):
    card: Card = Card.GOOD
    confirmed: CheckboxField = False
    webhook: Line = "once"


class DisputeForm(BaseModel):
    dispute: Line = ""


@router.post("/webhooks/sandbox")
async def sandbox_event(request: Request) -> Response:
    """Answers 200 once the message is kept; the worker handles it."""
    body = await request.body()
    await run_in_threadpool(
        inbox.receive, sandbox.NAME, dict(request.headers), body, now=clock.now()
    )
    return Response(status_code=200)


@router.post("/webhooks/stripe")
async def stripe_event(request: Request) -> Response:
    """Answers 200 once the message is kept; anything else makes Stripe send it again."""
    body = await request.body()
    await run_in_threadpool(
        inbox.receive, stripe_events.NAME, dict(request.headers), body, now=clock.now()
    )
    return Response(status_code=200)


@router.get("/sandbox/pay/{ref}")
def show_charge(request: Request, session: Db, ref: str) -> Response:
    """What is to be paid, and cards that do what one wants to see."""
    charge = sandbox.find(session, ref)
    return page(
        request,
        "billing/sandbox.html",
        charge=charge,
        amount=Money.from_cents(charge.amount_minor, charge.currency),
        back=_path(charge.back_url),
    )


@router.post("/sandbox/pay/{ref}")
def pay(ref: str, form: Annotated[CardForm, Form()]) -> Response:
    """Pay, and go back to the shop; the second step stays on this page."""
    now = clock.now()
    charge = payday.pay(
        ref, card=form.card, confirmed=form.confirmed, copies=_copies(form.webhook), now=now
    )
    here = charge.status in {"action", "failed"}
    return see_other(f"/sandbox/pay/{ref}" if here else _path(charge.back_url))


@router.post("/sandbox/pay/{ref}/dispute")
def dispute(ref: str, form: Annotated[DisputeForm, Form()]) -> Response:
    """Play the customer's bank."""
    if form.dispute not in {"open", "won", "lost"}:
        raise NotFound
    payday.dispute(ref, to=form.dispute, now=clock.now())
    return see_other(f"/sandbox/pay/{ref}")


def _copies(word: str) -> int:
    return {"never": 0, "twice": 2}.get(word, 1)


def _path(url: str) -> str:
    """The shop's page, on whatever host this one was opened."""
    return "/" + url.split("/", 3)[3]
