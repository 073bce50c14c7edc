"""A fake Stripe, to try payments with."""

import threading
from argparse import Namespace

from flowlink.app import opening, server
from flowlink.app.outcome import Failed, say
from flowlink.kernel import settings

_STEP_S = 1  # how often its webhooks leave


def fakestripe(arguments: Namespace) -> None:
    """Run the fake until a signal. It charges nobody; production refuses it."""
    from flowlink.billing.fakestripe.knobs import Knobs
    from flowlink.billing.fakestripe.server import FakeStripe, deliver
    from flowlink.billing.fakestripe.state import Ledger

    _, loaded = opening.load(arguments)
    if loaded.in_production:
        raise Failed("a fake Stripe has no place in production")
    settings.use(loaded)
    knobs = Knobs(
        seed=arguments.seed,
        duplicated=arguments.duplicated,
        delayed=arguments.delayed,
        lost=arguments.lost,
        reordered=arguments.reordered,
        unanswered=arguments.unanswered,
        server_errors=arguments.server_errors,
        late_errors=arguments.late_errors,
        nonsense=arguments.nonsense,
        slow_s=arguments.slow,
    )
    fake, stop = FakeStripe(ledger=Ledger(knobs=knobs)), threading.Event()
    listener = arguments.webhook or f"{loaded.url}/webhooks/stripe"

    def live() -> None:
        while not stop.wait(_STEP_S):
            deliver(fake, listener)

    threading.Thread(target=live, daemon=True).start()
    say(f"PAYMENT_PROVIDER=stripe\nSTRIPE_URL=http://127.0.0.1:{arguments.port}")
    say(f"STRIPE_SECRET_KEY={fake.key}\nSTRIPE_WEBHOOK_SECRET={fake.webhook_secret}")
    try:
        with server.listen("127.0.0.1", arguments.port) as socket:
            server.Server(server.config(fake)).run(sockets=[socket])
    finally:
        stop.set()
