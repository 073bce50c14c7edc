"""What leaves with a run: a SEPA file, or a batch for PayPal. The same bytes each time."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import crypto
from flowlink.payouts import methods, sepa
from flowlink.payouts.models import Method, Rail, Withdrawal
from flowlink.payouts.run_models import Run, RunItem

# What a bank's statement and PayPal's mail say to the partner.
TEXT = "Partner earnings {name}"


class FileDiffers(Exception):
    """The file made again is not the file that was released: something changed underneath."""


@dataclass(frozen=True, slots=True)
class RunFile:
    """A run's file and its fingerprint in hexadecimal."""

    name: str
    media_type: str
    body: bytes

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


def of(session: Session, run: Run) -> RunFile:
    """The file of a run as its items stand now."""
    items = live(session, run)
    if run.rail == Rail.BANK:
        return _named(run, _sepa(session, run, items))
    return _named(run, _paypal(session, run, items))


def seal(session: Session, run: Run) -> bytes:
    """The file as it stands, encrypted: it names accounts."""
    return crypto.encrypt(of(session, run).body)


def released(session: Session, run: Run) -> RunFile:
    """The file of a released run, as it left.

    :raises FileDiffers: it is not what was released, which nothing in the product can cause.
    """
    kept = run.sealed_file
    made = of(session, run) if kept is None else _named(run, crypto.decrypt(kept))
    if made.sha256 != run.sha256:
        raise FileDiffers(run.message_id)
    return made


def _named(run: Run, body: bytes) -> RunFile:
    if run.rail == Rail.BANK:
        return RunFile(f"{run.message_id}.xml", "application/xml", body)
    return RunFile(f"{run.message_id}.json", "application/json", body)


def live(session: Session, run: Run) -> Sequence[RunItem]:
    """The items that are still in the run, in the order of their withdrawals."""
    rows = select(RunItem).where(RunItem.run_id == run.id, RunItem.left_at.is_(None))
    return session.scalars(rows.order_by(RunItem.withdrawal_id)).all()


def _details(session: Session, run: Run) -> dict[object, str]:
    rows = session.execute(
        select(Withdrawal.id, Method)
        .join(Method, Method.id == Withdrawal.method_id)
        .join(RunItem, RunItem.withdrawal_id == Withdrawal.id)
        .where(RunItem.run_id == run.id)
    )
    return {key: methods.details_of(method) for key, method in rows}


def _sepa(session: Session, run: Run, items: Sequence[RunItem]) -> bytes:
    details = _details(session, run)
    return sepa.document(
        message_id=str(run.message_id),
        made_at=run.made_at,
        execute_on=run.execute_on,
        debtor=sepa.Debtor(run.debtor_name, run.debtor_iban, run.debtor_bic),
        transfers=[
            sepa.Transfer(
                end_to_end_id=item.end_to_end_id,
                cents=item.amount_minor,
                name=item.holder,
                iban=details[item.withdrawal_id],
                text=TEXT.format(name=item.end_to_end_id),
            )
            for item in items
        ],
    )


def _paypal(session: Session, run: Run, items: Sequence[RunItem]) -> bytes:
    """`create_payout_request` of PayPal's payments_payouts_batch_v1, version 1.9."""
    details = _details(session, run)
    batch = {
        "sender_batch_header": {"sender_batch_id": run.message_id, "recipient_type": "EMAIL"},
        "items": [
            {
                "recipient_type": "EMAIL",
                "amount": {
                    "currency": run.currency,
                    "value": f"{Decimal(item.amount_minor).scaleb(-2):.2f}",
                },
                "receiver": details[item.withdrawal_id],
                "sender_item_id": item.end_to_end_id,
                "note": TEXT.format(name=item.end_to_end_id),
            }
            for item in items
        ],
    }
    return json.dumps(batch, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
