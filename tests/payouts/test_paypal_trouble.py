"""Answers that nobody thought of: they pay nothing twice, and stop nobody else's money."""

from datetime import timedelta

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from flowlink.app import registry
from flowlink.kernel import clock, db, jobs
from flowlink.payouts import paypal
from flowlink.payouts.fakepay.server import FakePay
from flowlink.payouts.fakepay.state import Ledger
from flowlink.payouts.jobs import PayoutsFailed
from flowlink.payouts.models import Rail, State, Withdrawal
from flowlink.payouts.paypal import Unsure
from flowlink.payouts.run_models import Run
from tests.factories import free_port, make_operator, make_partner
from tests.payouts.acts import ask
from tests.payouts.chaos import serving
from tests.payouts.run_acts import propose, release, set_up


class Babbling(FakePay):
    """Answers with a code that promises what its body does not hold."""

    said: object = {}

    def answer(self, request: Request, body: bytes) -> Response:
        if request.url.path.endswith("/token"):
            return super().answer(request, body)
        return JSONResponse(self.said, status_code=201 if request.method == "POST" else 200)


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        {"batch_header": "B1"},
        {"batch_header": {"payout_batch_id": "B1"}, "total_pages": "many"},
        {"items": [1]},
        {"batch_header": {}, "items": {"payout_item_id": "I1"}},
    ],
)
def test_an_answer_that_cannot_be_read_says_nothing(said: object) -> None:
    fake, port = Babbling(), free_port()
    fake.said = said
    url = f"http://127.0.0.1:{port}"

    with serving(fake, port), set_up(paypal_url=url):
        client = paypal.configured()
        with pytest.raises(Unsure):
            client.batch("B1", now=clock.now())
        if said != {"batch_header": {"payout_batch_id": "B1"}, "total_pages": "many"}:
            with pytest.raises(Unsure):
                client.create(b"{}", now=clock.now())


def released() -> tuple[Run, Withdrawal]:
    now = clock.now()
    with db.write() as session:
        withdrawal = ask(session, make_partner(session, available="50.00"), now=now)
        run = release(
            session, propose(session, Rail.PAYPAL, now=now), make_operator(session), now=now
        )
        return run, withdrawal


def state_of(withdrawal: Withdrawal) -> State:
    with db.read() as session:
        return session.get_one(Withdrawal, withdrawal.id).state


def test_a_run_that_fails_unforeseen_stops_no_other(database: str) -> None:
    registry.load()
    fake, port = FakePay(), free_port()

    with serving(fake, port), set_up(paypal_url=f"http://127.0.0.1:{port}"):
        released()
        jobs.run("payout_sweep", clock.now())
        fake.ledger = Ledger()  # it has forgotten everything, and gives the same names again
        bad, _ = released()
        _, well = released()
        with pytest.raises(PayoutsFailed, match=f"1 failed: run:{bad.id}"):
            jobs.run("payout_sweep", clock.now())
        fake.ledger.advance(clock.now())
        with pytest.raises(PayoutsFailed):
            jobs.run("payout_sweep", clock.now() + timedelta(minutes=3))

    assert state_of(well) == "settled"
    with db.read() as session:
        assert "could not be applied" in session.get_one(Run, bad.id).trouble
