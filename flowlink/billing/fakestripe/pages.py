"""The fake Stripe's own pages: one to pay on, and a list of payments to play the bank on."""

from collections.abc import Callable
from html import escape
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from flowlink.billing.fakestripe.state import Ledger, Refused
from flowlink.billing.fakestripe.things import Thing
from flowlink.kernel.money import Money
from flowlink.web import i18n
from flowlink.web.i18n import mark

Say = Callable[..., str]
_CARDS = (
    ("4242", mark("4242: succeeds")),
    ("0002", mark("0002: is declined")),
    ("9995", mark("9995: has too little money")),
    ("3155", mark("3155: asks for a second step, once")),
    ("3184", mark("3184: asks for a second step each time")),
    ("0341", mark("0341: pays once, fails at renewal")),
    ("0259", mark("0259: is disputed later")),
)
_STATES = {
    "paid": mark("Paid"),
    "open": mark("In dispute"),
    "lost": mark("Dispute lost"),
    "won": mark("Dispute won"),
    "back": mark("Given back"),
}
_LOOK = """
body{font:16px/1.5 system-ui,sans-serif;margin:0;padding:.75rem;background:#f6f7f9;color:#16181d}
main{max-width:34rem;margin:2rem auto;padding:1.5rem;background:#fff;border:1px solid #d9dce3;
border-radius:.75rem}h1{font-size:1.25rem;margin:0 0 .25rem}p{margin:.5rem 0}.quiet{color:#5a6070}
.bad{color:#a3180c}form{margin:1rem 0 0}select,button{font:inherit;padding:.6rem .8rem;width:100%;
box-sizing:border-box;border:1px solid #b9bfca;border-radius:.5rem;margin-top:.5rem;background:#fff}
button{background:#2b3fd6;border-color:#2b3fd6;color:#fff;cursor:pointer}label{display:block}
article{border-top:1px solid #d9dce3;padding:1rem 0}article button{width:auto}
article form{display:inline-block;margin:.5rem .5rem 0 0}code{font-size:.8rem;word-break:break-all}
"""


def answer(ledger: Ledger, request: Request, body: str, *, at: int) -> Response:
    """A page, or what pressing a button on it does."""
    lang = i18n.negotiate(
        asked=request.query_params.get("lang"),
        kept=None,
        accepted=request.headers.get("accept-language", ""),
    )

    def say(msgid: str, **params: object) -> str:
        return escape(i18n.translate(lang, msgid, params or None))

    start, _, key = request.url.path.strip("/").partition("/")
    form = dict(parse_qsl(body)) if request.method == "POST" else {}
    try:
        if start == "pay":
            return _pay(ledger, key, form, say, lang, at=at)
        if start in {"", "dispute", "refund"}:
            return _bank(ledger, start, key, form, say, lang, at=at)
    except Refused as refusal:
        return _page(say, lang, str(refusal), "", status=404)
    return _page(say, lang, say(mark("There is nothing here.")), "", status=404)


def _pay(
    ledger: Ledger, key: str, form: dict[str, str], say: Say, lang: str, *, at: int
) -> Response:
    session = ledger.get("checkout.session", key)
    if form:
        confirmed = form.get("confirmed") == "on"
        session = ledger.pay(key, last4=form.get("card", ""), confirmed=confirmed, at=at)
        if session["status"] == "complete":
            return RedirectResponse(session["success_url"], status_code=303)
        return RedirectResponse(f"/pay/{key}?lang={lang}", status_code=303)
    amount = _amount(session["amount_total"], session["currency"], lang)
    if session["status"] != "open":
        return _page(say, lang, amount, f"<p>{say(mark('This page is over.'))}</p>")
    waits = ledger.waits_for(key)
    if waits:
        inside = _second_step(key, waits, say, lang)
    else:
        inside = _trouble(ledger, session, say) + _choose(key, amount, say, lang)
    back = f'<p><a href="{escape(session["cancel_url"] or "")}">{say(mark("Back to the shop"))}</a>'
    return _page(say, lang, amount, f"{inside}{back}</p>")


def _choose(key: str, amount: str, say: Say, lang: str) -> str:
    options = "".join(f'<option value="{last4}">{say(text)}</option>' for last4, text in _CARDS)
    return (
        f'<form method="post" action="/pay/{escape(key)}?lang={lang}">'
        f'<label>{say(mark("Card"))}<select name="card">{options}</select></label>'
        f"<button>{say(mark('Pay %(amount)s'), amount=amount)}</button></form>"
    )


def _second_step(key: str, last4: str, say: Say, lang: str) -> str:
    return (
        f"<p>{say(mark('Your bank wants to be sure that it is you.'))}</p>"
        f'<form method="post" action="/pay/{escape(key)}?lang={lang}">'
        f'<input type="hidden" name="card" value="{escape(last4)}">'
        '<input type="hidden" name="confirmed" value="on">'
        f"<button>{say(mark('Yes, it is me'))}</button></form>"
    )


def _trouble(ledger: Ledger, session: Thing, say: Say) -> str:
    if session["payment_intent"] is None:
        return ""
    intent = ledger.get("payment_intent", session["payment_intent"])
    if intent["last_payment_error"] is None:
        return ""
    return f'<p class="bad">{say(mark("The card was declined"))}</p>'


def _bank(
    ledger: Ledger, what: str, key: str, form: dict[str, str], say: Say, lang: str, *, at: int
) -> Response:
    if what == "dispute" and form:
        ledger.dispute(key, to=form.get("to", ""), at=at)
        return RedirectResponse(f"/?lang={lang}", status_code=303)
    if what == "refund" and form:
        ledger.make_refund({"payment_intent": key}, at=at)
        return RedirectResponse(f"/?lang={lang}", status_code=303)
    rows = "".join(_row(ledger, charge, say, lang) for charge in ledger.every("charge"))
    nothing = f"<p>{say(mark('No payments yet'))}</p>"
    return _page(say, lang, say(mark("Payments")), rows or nothing)


def _row(ledger: Ledger, charge: Thing, say: Say, lang: str) -> str:
    disputes = [d for d in ledger.every("dispute") if d["charge"] == charge["id"]]
    status = str(disputes[0]["status"]) if disputes else ""
    state = {"needs_response": "open", "": "back" if charge["refunded"] else "paid"}.get(
        status, status
    )
    buttons = {
        "paid": [
            ("dispute", "open", mark("Dispute it, as the customer's bank")),
            ("refund", "all", mark("Give all of it back")),
        ],
        "open": [
            ("dispute", "won", mark("The shop wins")),
            ("dispute", "lost", mark("The customer wins")),
        ],
    }.get(state, [])
    forms = "".join(
        f'<form method="post" action="/{door}/{escape(charge["payment_intent"])}?lang={lang}">'
        f'<input type="hidden" name="to" value="{to}"><button>{say(text)}</button></form>'
        for door, to, text in buttons
    )
    amount = escape(_amount(charge["amount"], charge["currency"], lang))
    name = escape(str(charge["metadata"].get("ref", charge["payment_intent"])))
    return (
        f"<article><strong>{amount}</strong> · {say(_STATES[state])}<br>"
        f"{escape(charge['description'] or '')}<br><code>{name}</code><br>{forms}</article>"
    )


def _amount(minor: int, currency: str, lang: str) -> str:
    return i18n.money(Money.from_cents(minor, currency.upper()), lang)


def _page(say: Say, lang: str, title: str, inside: str, status: int = 200) -> Response:
    return HTMLResponse(
        f'<!doctype html><html lang="{lang}"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<link rel="icon" href="data:,">'
        f"<title>{escape(title)}</title><style>{_LOOK}</style></head><body><main>"
        f'<p class="quiet">{say(mark("A stand-in for Stripe: no money moves."))}</p>'
        f"<h1>{escape(title)}</h1>{inside}</main></body></html>",
        status_code=status,
    )
