"""Random histories of conversions, releases, withdrawals and holds against a small model."""

from dataclasses import dataclass, field
from datetime import date, timedelta
from uuid import UUID

from hypothesis import Phase, given, settings, strategies as st
from sqlalchemy.orm import Session

from flowlink.kernel import policy as policies
from flowlink.kernel.money import Money
from flowlink.payouts import commissions, holds, queries, reserve, service as payouts, withdrawals
from flowlink.payouts.ids import WithdrawalId
from flowlink.risk import service as risk
from flowlink.tracking.models import Status
from tests.factories import Person, make_partner
from tests.payouts.makers import DAY, assert_clean, become, convert

SHARE_BPS = 6000
RESERVE_BPS = 3000

statuses = st.sampled_from(list(Status))
amounts = st.integers(min_value=0, max_value=300_000_000) | st.integers(min_value=0, max_value=9)
sale = st.integers(min_value=0, max_value=3)
steps = st.lists(
    st.one_of(
        st.tuples(st.just("become"), sale, statuses, amounts),
        st.tuples(st.just("post")),
        st.tuples(st.just("days"), st.integers(min_value=0, max_value=40)),
        st.tuples(st.just("release")),
        st.tuples(st.just("withdraw"), st.integers(min_value=1000, max_value=15_000)),
        st.tuples(st.just("end"), st.sampled_from(["pay", "reject", "fail", "return"])),
        st.tuples(st.just("hold")),
        st.tuples(st.just("lift")),
    ),
    max_size=25,
)


@dataclass
class Sale:
    """What the model believes of one conversion, in millionths."""

    share: int = 0
    pending: int = 0
    lots: dict[date, int] = field(default_factory=dict)


@dataclass
class Model:
    """A partner's money in plain integers: the rules of the spec, and nothing else."""

    available: int = 0
    held: int = 0
    debt: int = 0
    withdrawing: int = 0
    paid: int = 0
    on_hold: bool = False
    sales: list[Sale] = field(default_factory=lambda: [Sale() for _ in range(4)])

    @property
    def reserve(self) -> int:
        return sum(sum(each.lots.values()) for each in self.sales)

    def give(self, amount: int, *, is_new: bool = True) -> None:
        repaid = min(amount, self.debt)
        self.debt -= repaid
        if self.on_hold and is_new:
            self.held += amount - repaid
        else:
            self.available += amount - repaid

    def take(self, amount: int) -> None:
        for place in ("held", "available"):
            part = min(amount, getattr(self, place))
            setattr(self, place, getattr(self, place) - part)
            amount -= part
        self.debt += amount

    def become(self, number: int, status: Status, amount: int, day: date) -> None:
        sold = self.sales[number]
        share = Money(amount).share(SHARE_BPS).micro
        sold.pending = share if status == Status.PENDING else 0
        wanted = share if status == Status.APPROVED else 0
        if wanted > sold.share:
            gained = wanted - sold.share
            kept = Money(gained).share(RESERVE_BPS).micro
            release_on = day + timedelta(days=30)
            sold.lots[release_on] = sold.lots.get(release_on, 0) + kept
            self.give(gained - kept)
        elif wanted < sold.share:
            self.claw_back(sold, sold.share - wanted)
        sold.share = wanted

    def claw_back(self, sold: Sale, loss: int) -> None:
        reserved = sum(sold.lots.values())
        part = Money(reserved).in_proportion(Money(loss), Money(sold.share)).micro
        left = part
        for day in sorted(sold.lots, reverse=True):
            taken = min(left, sold.lots[day])
            sold.lots[day] -= taken
            left -= taken
        self.take(loss - part)

    def release(self, day: date) -> None:
        for sold in self.sales:
            due = [each for each in sold.lots if each <= day]
            self.give(sum(sold.lots.pop(each) for each in due))

    def end(self, how: str, amount: int) -> None:
        self.withdrawing -= amount
        if how == "pay":
            self.paid += amount
        else:
            self.give(amount, is_new=False)


class World:
    """The product and the model, driven by the same steps."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.now = DAY
        self.person = make_partner(session)
        self.model = Model()
        self.sales = [self._begin(session, self.person) for _ in range(4)]
        self.open: list[tuple[WithdrawalId, int]] = []
        self.queue: list[tuple[int, Status, int, date]] = []
        commissions.post_revisions(session, now=self.now)

    def _begin(self, session: Session, person: Person) -> UUID:
        return convert(session, person, "0.00", status=Status.PENDING, at=self.now)

    def become(self, number: int, status: Status, amount: int) -> None:
        become(self.session, self.sales[number], status, amount, at=self.now)
        self.queue.append((number, status, amount, self.now.date()))

    def post(self) -> None:
        commissions.post_revisions(self.session, now=self.now)
        order = sorted(range(4), key=lambda number: self.sales[number])
        for number in order:
            for step in [each for each in self.queue if each[0] == number]:
                self.model.become(*step)
        self.queue.clear()
        self.compare()

    def days(self, count: int) -> None:
        self.now += timedelta(days=count)

    def release(self) -> None:
        reserve.release(self.session, now=self.now)
        self.model.release(self.now.date())
        self.compare()

    def withdraw(self, cents: int) -> None:
        amount = Money.from_cents(cents)
        try:
            withdrawal = payouts.request_withdrawal(
                self.session,
                partner_id=self.person.partner_id,
                amount=amount,
                rail="paypal",
                details="ada@example.org",
                policy=policies.at(self.session, self.now),
                now=self.now,
            )
        except payouts.OnHold:
            assert self.model.on_hold
        except payouts.AboveAvailable:
            assert not self.model.on_hold
            assert amount.micro > self.model.available
        else:
            self.open.append((WithdrawalId(withdrawal.id), amount.micro))
            self.model.available -= amount.micro
            self.model.withdrawing += amount.micro
        self.compare()

    def end(self, how: str) -> None:
        if not self.open or (how in {"pay", "return"} and self.model.on_hold):
            return
        withdrawal_id, amount = self.open.pop()
        by = {"actor": "secret", "now": self.now}
        if how in {"pay", "return"}:
            withdrawals.mark_paid(
                self.session,
                withdrawal_id=withdrawal_id,
                reference="PP-1",
                **by,  # type: ignore[arg-type]
            )
        if how == "return":
            withdrawals.mark_returned(
                self.session,
                withdrawal_id=withdrawal_id,
                reason="closed",
                **by,  # type: ignore[arg-type]
            )
        if how in {"reject", "fail"}:
            ended = withdrawals.reject if how == "reject" else withdrawals.mark_failed
            ended(self.session, withdrawal_id=withdrawal_id, reason="wrong", **by)  # type: ignore[arg-type]
        self.model.end(how, amount)
        self.compare()

    def hold(self) -> None:
        risk.place_hold(
            self.session,
            partner_id=self.person.partner_id,
            reason="a reason",
            evidence={},
            actor="test",
            now=self.now,
            policy=policies.at(self.session, self.now),
        )
        self.model.on_hold = True

    def lift(self) -> None:
        if not self.model.on_hold:
            return
        lifted = risk.lift_hold(
            self.session,
            partner_id=self.person.partner_id,
            reason="a reason",
            actor="test",
            now=self.now,
        )
        partner_id = self.person.partner_id
        holds.give_held(self.session, partner_id=partner_id, hold_id=lifted[0].id, now=self.now)
        self.model.on_hold = False
        self.model.available += self.model.held
        self.model.held = 0
        self.compare()

    def compare(self) -> None:
        found = queries.balances(self.session, self.person.partner_id)
        model = self.model
        assert (found.available.micro, found.held.micro) == (model.available, model.held)
        assert (found.reserved.micro, found.debt.micro) == (model.reserve, model.debt)
        assert (found.withdrawing.micro, found.paid.micro) == (model.withdrawing, model.paid)
        assert found.pending.micro == sum(sold.pending for sold in model.sales)
        assert found.available.micro >= 0
        owed = found.available + found.held + found.reserved + found.withdrawing + found.paid
        assert (owed - found.debt).micro == sum(sold.share for sold in model.sales)


@settings(
    max_examples=60,
    phases=[Phase.explicit, Phase.generate, Phase.shrink],
)
@given(history=steps)
def test_every_history_ends_as_the_rules_say(
    session: Session, history: list[tuple[object, ...]]
) -> None:
    nested = session.begin_nested()
    world = World(session)

    for name, *args in history:
        getattr(world, str(name))(*args)
    world.post()

    assert_clean(session)
    nested.rollback()
    session.expire_all()
