"""Bank files from the shell, the journal for the accountant, and a fake PayPal and bank to try
with."""

import threading
from argparse import Namespace
from datetime import UTC, date, datetime

from flowlink.app import opening, server
from flowlink.app.outcome import Failed, note, say
from flowlink.kernel import clock, db, settings
from flowlink.kernel.errors import FlowlinkError

_STEP_S = 2.0  # how long each state of a fake payout lasts


def take_in(arguments: Namespace) -> None:
    """Take a bank's file in, as the page does; a second time changes nothing."""
    from flowlink.payouts import bank_answers

    body = opening.file(arguments.file)
    try:
        with opening.database(arguments), db.write() as session:
            taken = bank_answers.take_in(
                session, body=body, name=arguments.file.name, actor="cli", now=clock.now()
            )
    except FlowlinkError as refusal:
        raise Failed(str(refusal)) from None
    became = ", ".join(f"{count} {word}" for word, count in sorted(taken.became.items()))
    say(f"{taken.kind}: {taken.lines} lines, {taken.repeated} known before, {became or 'none new'}")


def export_journal(arguments: Namespace) -> None:
    """Write one row a transfer with its accounts' names; whole days in UTC, both ends included."""
    from flowlink.insights import accounting

    since = _day(arguments.since) if arguments.since else None
    until = _day(arguments.until) if arguments.until else None
    with opening.database(arguments), db.read() as session:
        rows = accounting.journal(session, since=since, until=until)
        try:
            count = accounting.write(arguments.out, rows)
        except OSError as error:
            raise Failed(f"{arguments.out} cannot be written: {error.strerror}") from None
    note(f"{count} transfers written to {arguments.out}")


def fakepay(arguments: Namespace) -> None:
    """Run the fake until a signal. It pays nobody; production refuses it."""
    from flowlink.kernel.accidents import Accidents
    from flowlink.payouts.fakepay.server import FakePay, deliver
    from flowlink.payouts.fakepay.state import Ledger

    opening.configure(arguments)
    loaded = settings.current()
    if loaded.in_production:
        raise Failed("a fake PayPal has no place in production")
    knobs = Accidents(
        seed=arguments.seed,
        duplicated=arguments.duplicated,
        delayed=arguments.delayed,
        lost=arguments.lost,
        reordered=arguments.reordered,
        unanswered=arguments.unanswered,
        server_errors=arguments.server_errors,
    )
    # Its names go on from the clock: those of a fake that ran before are known to the product.
    started = int(clock.now().timestamp()) * 1000
    fake, stop = FakePay(ledger=Ledger(knobs=knobs, counter=started)), threading.Event()
    listener = arguments.webhook or f"{loaded.url}/webhooks/paypal"

    def live() -> None:
        while not stop.wait(_STEP_S):
            fake.ledger.advance(clock.now())
            deliver(fake.ledger, listener)

    threading.Thread(target=live, daemon=True).start()
    say(f"PAYPAL_URL=http://127.0.0.1:{arguments.port}")
    say(f"PAYPAL_CLIENT_ID={fake.client_id}\nPAYPAL_CLIENT_SECRET={fake.secret}")
    say(f"PAYPAL_WEBHOOK_ID={fake.ledger.webhook_id}")
    try:
        with server.listen("127.0.0.1", arguments.port) as socket:
            server.Server(server.config(fake)).run(sockets=[socket])
    finally:
        stop.set()


def fakebank(arguments: Namespace) -> None:
    """Answer a file of orders with files beside it. It moves no money; production refuses it."""
    from flowlink.payouts.fakebank import answers, orders

    opening.configure(arguments)
    if settings.current().in_production:
        raise Failed("a fake bank has no place in production")
    try:
        message = orders.read(opening.file(arguments.file))
    except FlowlinkError as refusal:
        raise Failed(str(refusal)) from None
    place = arguments.out or arguments.file.parent
    first = place / f"{message.stem}-report.xml"
    known = first.exists()
    try:
        place.mkdir(parents=True, exist_ok=True)
        for file in answers.of(message, known=known, now=clock.now()):
            (place / file.name).write_bytes(file.body)
            say(str(place / file.name))
    except OSError as error:
        raise Failed(f"{place} cannot be written: {error.strerror}") from None


def _day(text: str) -> datetime:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise Failed(f"{text!r} is not a day such as 2026-11-21") from None
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
