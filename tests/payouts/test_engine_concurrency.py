"""Two at once about one case, one dispute, one reward: each happens once, whoever is first."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from flowlink.kernel import db, policy as policies
from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.money import Money
from flowlink.partners import referrals
from flowlink.payouts import cases, disputes, rewards
from flowlink.payouts.cases import Claim
from tests.factories import Person, balance, make_partner
from tests.payouts.makers import DAY, assert_clean, earn

pytestmark = pytest.mark.usefixtures("database")
AT_ONCE = 8


def at_once(act: Callable[[], object]) -> list[str]:
    """What became of each of many who do the same at the same moment."""

    def one(_: int) -> str:
        try:
            act()
        except FlowlinkError as refusal:
            return type(refusal).__name__
        return "done"

    with ThreadPoolExecutor(AT_ONCE) as pool:
        return sorted(pool.map(one, range(AT_ONCE)))


def has(person: Person, kind: str) -> str:
    with db.write() as session:
        assert_clean(session)
        return balance(session, person, kind)


def test_many_who_accept_a_case_pay_it_once() -> None:
    with db.write() as session:
        ada = make_partner(session)
        claim = Claim("missing", Money.parse("5.00"), DAY.date())
        case = cases.open_case(session, partner_id=ada.partner_id, claim=claim, trail={}, now=DAY)

    def accept() -> None:
        with db.write() as session:
            cases.accept(
                session,
                case_id=case.id,
                amount=Money.parse("5.00"),
                answer="yes",
                actor="test",
                now=DAY,
            )

    assert at_once(accept) == ["CaseDecided"] * (AT_ONCE - 1) + ["done"]
    assert has(ada, "available") == "5.00 EUR"


def test_many_who_decide_a_dispute_decide_it_once() -> None:
    with db.write() as session:
        ada = make_partner(session)
        sale = earn(session, ada, "100.00")

    def open_it() -> None:
        with db.write() as session:
            disputes.open_dispute(
                session, conversion_id=sale, reference="CB", actor="test", now=DAY
            )

    assert at_once(open_it) == ["done"] * AT_ONCE
    assert has(ada, "held") == "60.00 EUR"
    with db.read() as session:
        dispute = disputes.named(session, conversion_id=sale, reference="CB")

    def win() -> None:
        with db.write() as session:
            disputes.win(session, dispute_id=dispute.id, actor="test", now=DAY)

    assert at_once(win) == ["DisputeDecided"] * (AT_ONCE - 1) + ["done"]
    assert has(ada, "available") == "42.00 EUR"


def test_many_who_settle_rewards_pay_each_once() -> None:
    with db.write() as session:
        ada, bob = make_partner(session), make_partner(session)
        referrals.keep(
            session,
            referrer_id=ada.partner_id,
            referred_id=bob.partner_id,
            policy=policies.at(session, DAY),
            now=DAY,
        )
        earn(session, bob, "100.00")

    def settle() -> None:
        with db.write() as session:
            rewards.settle(session, now=DAY)

    assert at_once(settle) == ["done"] * AT_ONCE
    assert has(ada, "available") == "3.00 EUR"
