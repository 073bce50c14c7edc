"""What happens to payout runs, as tests do it."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.identity.ids import actor_of
from flowlink.payouts import runs
from flowlink.payouts.models import Rail, Withdrawal
from flowlink.payouts.paypal import BatchState, ItemState
from flowlink.payouts.run_models import Run, RunItem
from tests.conftest import chosen_settings
from tests.factories import Person
from tests.payouts.makers import DAY

OWNER_IBAN = "FR7630006000011234567890189"
OWNER = {
    "payout_debtor_name": "Société Générique & Fils",
    "payout_debtor_iban": OWNER_IBAN,
    "payout_debtor_bic": "AGRIFRPP",
    "paypal_client_id": "fake-client",
    "paypal_client_secret": "fake-secret",
    "paypal_webhook_id": "FAKEWEBHOOK1",
}


@contextmanager
def set_up(**more: str) -> Iterator[None]:
    """Both rails are set up while the block runs."""
    with chosen_settings(**(OWNER | more)):
        yield


def propose(
    session: Session, rail: Rail = Rail.BANK, by: Person | None = None, now: datetime = DAY
) -> Run:
    actor = actor_of(by.user_id) if by else "policy"
    person = by.user_id if by else None
    return runs.propose(session, rail=rail, actor=actor, person=person, now=now)


def release(session: Session, run: Run, by: Person, now: datetime = DAY) -> Run:
    return runs.release(
        session,
        run_id=run.id,
        sha256=run.sha256,
        actor=actor_of(by.user_id),
        person=by.user_id,
        now=now,
    )


def item_of(session: Session, withdrawal: Withdrawal) -> RunItem:
    """Its item in the run that it is in, or was in last."""
    rows = select(RunItem).where(RunItem.withdrawal_id == withdrawal.id)
    return session.scalars(rows.order_by(RunItem.run_id.desc())).first() or _none()


def _none() -> RunItem:
    raise AssertionError("this withdrawal was in no run")


class Teller:
    """A provider that says of each item what a test wants, without a wire."""

    def __init__(self, run: Run) -> None:
        self.sender_batch_id = str(run.message_id)
        self.status = "SUCCESS"
        self.says: dict[str, str] = {}
        self.created: list[bytes] = []

    def create(self, body: bytes, *, now: datetime) -> str:
        self.created.append(body)
        return "B1"

    def batch(self, batch_id: str, *, now: datetime) -> BatchState:
        items = tuple(self._item(name) for name in self.says)
        return BatchState(batch_id, self.sender_batch_id, self.status, items)

    def item(self, item_id: str, *, now: datetime) -> ItemState:
        return self._item(item_id)

    def genuine(self, headers: object, body: bytes, *, now: datetime) -> bool:
        return True

    def _item(self, name: str) -> ItemState:
        return ItemState(name, name, self.says[name], f"T-{name}", "")
