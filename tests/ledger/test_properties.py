"""Whatever is posted, in whichever order and however often: the ledger agrees with the model."""

from dataclasses import replace
from uuid import uuid4

from hypothesis import given, settings, strategies as st
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger import check, queries, service as ledger
from flowlink.ledger.accounts import Account, AccountKind as K, account
from flowlink.ledger.entries import Code, Entry, EntryKind, Transfer
from flowlink.ledger.service import Status
from tests.ledger.makers import NOW
from tests.ledger.model import RULES, Model

# Owners are small numbers until a run gives them its own names: runs share one transaction.
PLACES = [
    *(account(kind, owner) for kind in (K.AVAILABLE, K.WITHDRAWING, K.DEBT) for owner in "12"),
    account(K.HELD, "1"),
    account(K.CLICK_BUDGET, "1"),
    account(K.NETWORK_RECEIVABLE, "1"),
    account(K.REVENUE),
    account(K.BANK, currency="USD"),
    account(K.AVAILABLE, "1", "USD"),
]
NOWHERE = [account(K.AVAILABLE), account(K.BANK, "1")]

amounts = st.sampled_from([1, 2, 5, 10, 100, 1000] * 5 + [0, -1])
places = st.sampled_from(PLACES * 8 + NOWHERE)
codes = st.sampled_from([Code.CORRECTION] * 6 + list(RULES))


def line(debit: Account, credit: Account, amount: int, code: Code) -> Transfer:
    return Transfer(debit, credit, Money(amount, debit.currency), code)


transfers = st.builds(line, places, places, amounts, codes)
funding = st.builds(
    line,
    st.just(account(K.NETWORK_RECEIVABLE, "1")),
    st.sampled_from([account(K.AVAILABLE, owner) for owner in "12"]),
    st.sampled_from([10, 100, 1000]),
    st.just(Code.COMMISSION),
)
entries = st.builds(
    Entry,
    source=st.sampled_from([f"{n}" for n in range(30)] * 3 + [""]),
    kind=st.sampled_from([EntryKind.CORRECTION, EntryKind.CORRECTION, EntryKind.HOLD]),
    transfers=st.tuples(funding) | st.lists(transfers, max_size=4).map(tuple),
    effective_at=st.just(NOW),
)
reversals = st.integers(0, 29)
batches = st.lists(st.lists(entries | reversals, min_size=1, max_size=8), min_size=1, max_size=6)


def reversal(of: Entry) -> Entry:
    """The entry that takes another back: its transfers, last first, the other way round."""
    back = tuple(
        Transfer(each.credit, each.debit, each.amount, Code.CORRECTION)
        for each in reversed(of.transfers)
    )
    return replace(of, source=f"{of.source}:reversed", transfers=back)


class Run:
    """One example: names of its own, the model, and what was created so far."""

    def __init__(self) -> None:
        self.name = str(uuid4())
        self.model = Model()
        self.created: list[Entry] = []

    def place(self, place: Account) -> Account:
        return replace(place, owner=f"{self.name}-{place.owner}" if place.owner else "")

    def named(self, item: Entry | int) -> Entry | None:
        if isinstance(item, int):
            return reversal(self.created[item % len(self.created)]) if self.created else None
        own = tuple(
            replace(each, debit=self.place(each.debit), credit=self.place(each.credit))
            for each in item.transfers
        )
        source = f"{self.name}-{item.source}" if item.source else ""
        return replace(item, source=source, transfers=own)

    def post(self, session: Session, items: list[Entry | int]) -> None:
        batch = [entry for entry in map(self.named, items) if entry is not None]
        expected = [self.model.post(entry) for entry in batch]

        outcomes = ledger.post_many(session, batch, NOW)

        assert [outcome.status for outcome in outcomes] == expected
        self.created += [
            entry
            for entry, status in zip(batch, expected, strict=True)
            if status is Status.CREATED and not entry.source.endswith("reversed")
        ]


@settings(max_examples=200)
@given(steps=batches)
def test_the_ledger_agrees_with_the_model(session: Session, steps: list[list[Entry | int]]) -> None:
    run = Run()
    before = {place: queries.balance(session, run.place(place)) for place in PLACES}

    for items in steps:
        run.post(session, items)

    for place, had in before.items():
        own = run.place(place)
        moved = Money(run.model.balances.get(own, 0), place.currency)
        assert queries.balance(session, own) == had + moved
    assert check.problems(session) == []
    for source, (kind, lines) in run.model.posted.items():
        found = queries.find_by_source(session, source)
        assert found is not None
        assert found.kind is kind
        assert (
            tuple(
                Transfer(line.debit, line.credit, line.amount, line.code)
                for line in found.transfers
            )
            == lines
        )
