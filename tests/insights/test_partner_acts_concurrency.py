"""Two operators, or one who clicks twice, at the same moment: each act happens once."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import select

from flowlink.insights import partner_acts
from flowlink.insights.partner_acts import Act, Wish
from flowlink.kernel import clock, db, policy as policies
from flowlink.kernel.models import AuditRow
from flowlink.notify.models import Mail
from flowlink.partners import ids, letters
from flowlink.partners.ids import PartnerId
from flowlink.partners.models import Partner, PartnerStatus
from tests.factories import make_partner

pytestmark = pytest.mark.usefixtures("database")
AT_ONCE = 8


def at_once(wish: Wish, chosen: Sequence[PartnerId]) -> int:
    """How many partners the same wish concerned, asked for many times at the same moment."""

    def one(nth: int) -> int:
        with db.write() as session:
            now = clock.now()
            return partner_acts.carry_out(
                session,
                chosen=chosen if nth % 2 else chosen[::-1],
                wish=wish,
                actor="test",
                policy=policies.at(session, now),
                now=now,
            )

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sum(pool.map(one, range(AT_ONCE)))


def people(number: int, *, pending: bool = False) -> list[PartnerId]:
    with db.write() as session:
        made = [make_partner(session).partner_id for _ in range(number)]
        for key in made if pending else ():
            session.get_one(Partner, key).status = PartnerStatus.PENDING
    return made


def actions(partner_id: PartnerId) -> list[str]:
    rows = select(AuditRow.action).where(AuditRow.subject == ids.public(partner_id))
    with db.read() as session:
        return sorted(session.scalars(rows))


def test_a_form_sent_many_times_at_once_writes_one_letter() -> None:
    chosen = people(3)

    done = at_once(Wish(Act.MESSAGE, subject="Hello", body="You", once="form-1"), chosen)

    assert done == 3
    with db.read() as session:
        assert [len(letters.letters(session, each)) for each in chosen] == [1, 1, 1]
        assert len(session.scalars(select(Mail)).all()) == 3


def test_many_bans_at_once_close_and_hold_once() -> None:
    chosen = people(3)

    assert at_once(Wish(Act.BAN, reason="bots"), chosen) == 3
    assert [actions(each) for each in chosen] == [["banned partner", "placed hold"]] * 3


def test_many_approvals_at_once_let_each_in_once() -> None:
    chosen = people(3, pending=True)

    assert at_once(Wish(Act.APPROVE), chosen) == 3
    assert [actions(each) for each in chosen] == [["approved partner"]] * 3
