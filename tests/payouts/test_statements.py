"""What a statement calls the money that came and went."""

from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.ledger import service as ledger
from flowlink.ledger.service import AccountKind, Code, EntryKind
from flowlink.payouts import statements
from flowlink.payouts.statements import EARNED
from tests.factories import make_partner
from tests.payouts.makers import DAY


def test_a_statement_has_a_word_for_whatever_can_reach_or_leave_a_partner(
    session: Session,
) -> None:
    rules = session.execute(text("SELECT code, debits, credits FROM ledger_posting_rule")).all()

    crossing = {
        Code(code)
        for code, givers, takers in rules
        if any((giver in EARNED) != (taker in EARNED) for giver in givers for taker in takers)
    }

    assert crossing - statements.WORDS.keys() == {Code.CORRECTION}


def test_a_statement_names_rewards_and_cases(session: Session) -> None:
    ada = make_partner(session)
    revenue = ledger.account(AccountKind.REVENUE)
    available = ledger.account(AccountKind.AVAILABLE, ada.partner_id)
    for code, kind, cents in (
        (Code.REFERRAL, EntryKind.REFERRAL, 300),
        (Code.ADJUSTMENT, EntryKind.CASE, 1250),
    ):
        transfer = ledger.Transfer(revenue, available, Money.from_cents(cents), code)
        entry = ledger.Entry(f"test:{code}", kind, (transfer,), effective_at=DAY)
        ledger.post(session, entry, DAY)

    sheet = statements.statement(
        session, partner_id=ada.partner_id, span=statements.month(2026, 11), lang="fr", now=DAY
    )

    assert [row[0] for row in sheet.tables[0].rows] == [
        "Récompenses pour les partenaires amenés",
        "Ventes manquantes, compensées",
    ]
