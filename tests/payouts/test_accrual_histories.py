"""Any history of clicks, money, caps and changes: never beyond a limit, never twice, exact."""

from collections import Counter
from collections.abc import Sequence
from datetime import timedelta

from hypothesis import Phase, given, settings, strategies as st
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.payouts import queries
from flowlink.payouts.models import Accrual, AccrualZero
from flowlink.tracking import budgets, offers
from flowlink.tracking.models import Click
from tests.factories import make_partner
from tests.payouts.click_makers import HOUR, accrue, click, link_to, make_offer, retell
from tests.payouts.makers import assert_clean

HOURS = 30  # over a midnight
prices = st.sampled_from(["0.10", "0.033333", "0.000007"])
amounts = st.integers(0, 60).map(Money.from_cents)
caps = st.none() | amounts
steps = st.lists(
    st.one_of(
        st.tuples(
            st.just("click"), st.integers(0, 1), st.integers(0, HOURS - 1), st.integers(1, 4)
        ),
        st.tuples(st.just("accrue"), st.integers(1, HOURS + 1)),
        st.tuples(st.just("fund"), st.integers(1, 50)),
        st.tuples(st.just("retell"), st.integers(0, HOURS - 1), prices, st.booleans()),
    ),
    min_size=1,
    max_size=14,
)


class History:
    """One offer and two partners, driven by steps."""

    def __init__(self, session: Session, cap_daily: Money | None, cap_mine: Money | None) -> None:
        self.session = session
        self.caps = {"cap_daily": cap_daily, "cap_partner_daily": cap_mine}
        self.offer = make_offer(
            session, budget="0.50", cap_daily=cap_daily, cap_partner_daily=cap_mine
        )
        self.people = [make_partner(session) for _ in range(2)]
        self.links = [link_to(session, person, self.offer) for person in self.people]
        self.funded = Money.parse("0.50")

    def click(self, who: int, hour: int, number: int) -> None:
        at = HOUR + timedelta(hours=hour, minutes=hour)
        click(self.session, self.links[who], number=number, at=at)

    def accrue(self, hour: int) -> None:
        accrue(self.session, HOUR + timedelta(hours=hour))

    def fund(self, cents: int) -> None:
        amount = Money.from_cents(cents)
        budgets.fund(self.session, offer=self.offer, amount=amount, actor="test", now=HOUR)
        self.funded += amount

    def retell(self, hour: int, price: str, active: bool) -> None:  # noqa: FBT001  (a drawn value)
        at = HOUR + timedelta(hours=hour, minutes=30)
        cpc = offers.price(price)
        retell(self.session, self.offer, at=at, cpc=cpc, active=active)

    def verify(self) -> None:
        accruals = self.session.scalars(select(Accrual)).all()
        paid = Counter(number for each in accruals for number in each.click_ids)
        zeros = self.session.scalars(select(AccrualZero)).all()
        seen = paid + Counter(number for each in zeros for number in each.click_ids)
        assert set(seen.values()) <= {1}
        assert set(seen) == set(self.session.scalars(select(Click.id)))
        spent = sum((each.amount for each in accruals), Money.zero())
        assert spent == self.funded - budgets.left(self.session, [self.offer.id])[self.offer.id]
        for person in self.people:
            found = queries.balances(self.session, person.partner_id)
            mine = [each.amount for each in accruals if each.partner_id == person.partner_id]
            assert found.available + found.reserved == sum(mine, Money.zero())
        self.verify_caps(accruals)

    def verify_caps(self, accruals: Sequence[Accrual]) -> None:
        by_day: Counter[object] = Counter()
        by_partner: Counter[object] = Counter()
        for each in accruals:
            by_day[each.hour.date()] += each.amount_micro
            by_partner[each.hour.date(), each.partner_id] += each.amount_micro
        for cap, spent in (("cap_daily", by_day), ("cap_partner_daily", by_partner)):
            limit = self.caps[cap]
            assert limit is None or max(spent.values(), default=0) <= limit.micro


@settings(
    max_examples=40,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(history=steps, cap_daily=caps, cap_mine=caps)
def test_no_history_pays_twice_or_beyond_a_limit(
    session: Session,
    history: list[tuple[object, ...]],
    cap_daily: Money | None,
    cap_mine: Money | None,
) -> None:
    nested = session.begin_nested()
    played = History(session, cap_daily, cap_mine)

    for name, *args in history:
        getattr(played, str(name))(*args)
    played.accrue(HOURS + 1)

    played.verify()
    assert_clean(session)
    nested.rollback()
    session.expire_all()
