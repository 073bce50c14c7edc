"""Sales that a person takes back in part, and what their network says of them afterwards."""

from datetime import datetime
from uuid import UUID

import pytest
from sqlalchemy.orm import Session

from flowlink.kernel.money import BadAmount, Money
from flowlink.tracking import queries, restating
from flowlink.tracking.models import Conversion, Status
from tests.tracking.makers import Send, Shop, revisions


def sold(session: Session, shop: Shop, click: str, send: Send) -> UUID:
    """A sale of 100 euros that its network has approved."""
    send(subid=click, amount="100.00", currency="EUR", txn_id="t1", status="approved")
    (found,) = queries.conversions_of(session, partner_id=shop.partner_id)
    return found.id


def restate(session: Session, sale: UUID, amount: str, now: datetime) -> None:
    restating.restate(
        session,
        conversion_id=sale,
        status=Status.APPROVED,
        amount=Money.parse(amount),
        actor="test",
        now=now,
    )


def test_a_repeated_word_does_not_undo_what_a_person_set(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    sale = sold(session, shop, click, send)
    restate(session, sale, "60", now)
    restate(session, sale, "40", now)

    for _ in range(2):
        again = send(subid=click, amount="100.00", currency="EUR", txn_id="t1", status="approved")

        assert again == ("duplicate", "already_known")
    assert session.get_one(Conversion, sale).amount == Money.parse("40")


def test_a_new_word_counts_after_a_persons(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    sale = sold(session, shop, click, send)
    restate(session, sale, "40", now)

    assert send(subid=click, amount="55.00", currency="EUR", txn_id="t1") == ("ok", None)
    assert send(subid=click, txn_id="t1", status="reversed") == ("ok", None)

    assert [row[1:] for row in revisions(session)][-2:] == [("approved", 5500), ("reversed", 5500)]


def test_no_sale_is_restated_below_zero(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    sale = sold(session, shop, click, send)

    with pytest.raises(BadAmount):
        restate(session, sale, "-0.01", now)

    assert revisions(session) == [(1, "approved", 10000)]
