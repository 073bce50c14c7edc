"""Nobody decides about themselves, though an operator may be a partner as well."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from flowlink.identity import service as identity
from flowlink.identity.ids import KEY, actor_of
from flowlink.identity.models import Role
from flowlink.identity.queries import keys_of
from flowlink.kernel import clock, ids, policy as policies
from flowlink.kernel.money import Money
from flowlink.partners import groups
from flowlink.partners.own_affairs import OwnAffair
from flowlink.payouts import cases, commissions, deals, disputes, withdrawals
from flowlink.payouts.case_models import Case, Dispute
from flowlink.payouts.cases import Claim
from flowlink.payouts.deal_models import Deal
from flowlink.payouts.deals import Agreement, Scope
from flowlink.payouts.ids import CASE, WithdrawalId
from flowlink.payouts.models import State
from flowlink.risk import scales, service as risk, watches
from flowlink.risk.models import Hold
from flowlink.risk.watch_models import Watch
from flowlink.tracking import marks, restating
from flowlink.tracking.models import Status
from tests.factories import Person, balance, make_operator, make_partner, sign_in
from tests.payouts.acts import ask, hold
from tests.payouts.makers import DAY, assert_clean, earn, make_link

Act = Callable[[Session, Person, str], object]


def both(session: Session, available: str = "0.00") -> Person:
    """A partner who is an operator too."""
    ada = make_partner(session, available)
    identity.set_staff(
        session, user_id=ada.user_id, role=Role.OPERATOR, actor="test", now=clock.now()
    )
    return ada


def lift(session: Session, ada: Person, actor: str) -> object:
    hold(session, ada)
    return risk.lift_hold(session, partner_id=ada.partner_id, reason="fine", actor=actor, now=DAY)


def watch(session: Session, ada: Person) -> UUID:
    found = watches.report(
        session,
        partner_id=ada.partner_id,
        evidence={"rule": "account"},
        score=60,
        now=DAY,
        policy=policies.at(session, DAY),
    )
    assert found is not None
    return found


def clear(session: Session, ada: Person, actor: str) -> object:
    return watches.decide(
        session, watch_id=watch(session, ada), fraud=False, reason="fine", actor=actor, now=DAY
    )


def dispute(session: Session, ada: Person) -> Dispute:
    return disputes.open_dispute(
        session, conversion_id=earn(session, ada, "9.00"), reference="1", actor="test", now=DAY
    )


def win(session: Session, ada: Person, actor: str) -> object:
    return disputes.win(session, dispute_id=dispute(session, ada).id, actor=actor, now=DAY)


def lose(session: Session, ada: Person, actor: str) -> object:
    return disputes.lose(session, dispute_id=dispute(session, ada).id, actor=actor, now=DAY)


def restate(session: Session, ada: Person, actor: str) -> object:
    sale = earn(session, ada, "9.00")
    return restating.restate(
        session, conversion_id=sale, status=Status.APPROVED, amount=Money(1), actor=actor, now=DAY
    )


def agree(session: Session, scope: Scope, actor: str) -> Deal:
    better = Agreement(share_bps=9000)
    return deals.agree(
        session,
        scope=scope,
        agreement=better,
        version=0,
        reason="good work",
        actor=actor,
        now=DAY,
    )


def agree_alone(session: Session, ada: Person, actor: str) -> object:
    return agree(session, Scope(partner_id=ada.partner_id), actor)


def make_group(session: Session) -> UUID:
    made = groups.create(session, name="gold", actor="test", now=DAY)
    return made.id


def join(session: Session, ada: Person, actor: str) -> None:
    groups.move(
        session,
        partner_id=ada.partner_id,
        group_id=make_group(session),
        reason="good work",
        actor=actor,
        now=DAY,
    )


def agree_in_group(session: Session, ada: Person, actor: str) -> object:
    group_id = make_group(session)
    groups.move(
        session,
        partner_id=ada.partner_id,
        group_id=group_id,
        reason="good work",
        actor="test",
        now=DAY,
    )
    return agree(session, Scope(group_id=group_id), actor)


def widen(session: Session, ada: Person, actor: str) -> None:
    scales.set_for(
        session, partner_id=ada.partner_id, percent=500, reason="why", actor=actor, now=DAY
    )


def widen_group(session: Session, ada: Person, actor: str) -> None:
    join(session, ada, "test")
    group_id = groups.group_of(session, ada.partner_id)
    assert group_id is not None
    scales.set_for_group(
        session, group_id=group_id, version=0, percent=500, reason="why", actor=actor, now=DAY
    )


def mark(session: Session, ada: Person, actor: str) -> object:
    link = make_link(session, ada)
    return marks.mark_own_content(session, link_id=link.id, own_content=True, actor=actor, now=DAY)


def open_case(session: Session, ada: Person) -> Case:
    claim = Claim(story="order 7", amount=Money.parse("150"), happened_on=DAY.date())
    return cases.open_case(session, partner_id=ada.partner_id, claim=claim, trail={}, now=DAY)


def accept(session: Session, ada: Person, actor: str) -> object:
    case = open_case(session, ada)
    return cases.accept(
        session,
        case_id=case.id,
        amount=Money.parse("150"),
        answer="yes",
        actor=actor,
        now=DAY,
    )


ACTS: list[Act] = [
    lift,
    clear,
    win,
    lose,
    restate,
    agree_alone,
    agree_in_group,
    join,
    widen,
    widen_group,
    mark,
]
ACTS += [accept]


@pytest.mark.parametrize("act", ACTS, ids=lambda act: str(act.__name__))
def test_nobody_decides_about_themselves(session: Session, act: Act) -> None:
    ada, bob = both(session), make_operator(session)

    for_a_key = keep_key(session, ada)
    for actor in (actor_of(ada.user_id), for_a_key):
        nested = session.begin_nested()
        with pytest.raises(OwnAffair):
            act(session, ada, actor)
        nested.rollback()
        session.expire_all()

    act(session, ada, actor_of(bob.user_id))
    commissions.post_revisions(session, now=DAY)
    assert_clean(session)


def keep_key(session: Session, person: Person) -> str:
    """How the log names an operator's key that this person keeps."""
    identity.make_api_key(
        session,
        owner_kind="operator",
        owner_id=None,
        user_id=person.user_id,
        name="script",
        scopes=None,
        actor="test",
        now=DAY,
    )
    (key,) = keys_of(session, user_id=person.user_id)
    return f"key:{ids.public(KEY, key.id)}"


def test_nobody_approves_their_own_withdrawal(session: Session) -> None:
    ada = both(session, "900.00")
    asked = ask(session, ada, "800.00")

    with pytest.raises(withdrawals.OwnWithdrawal):
        withdrawals.approve(
            session,
            withdrawal_id=WithdrawalId(asked.id),
            actor=actor_of(ada.user_id),
            person=ada.user_id,
            now=DAY,
        )

    assert asked.state == State.REQUESTED


def deal(ada: Person, actor: str) -> dict[str, Any]:
    """A row that agrees a better share with this partner."""
    row = {"partner_id": ada.partner_id, "version": 1, "share_bps": 9000, "in_force_at": DAY}
    return row | {"reason": "good work", "actor": actor, "made_at": DAY}


@pytest.mark.parametrize("by", ["user", "key"])
def test_the_tables_refuse_it_too(session: Session, by: str) -> None:
    ada = both(session)
    actor = actor_of(ada.user_id) if by == "user" else keep_key(session, ada)
    hold(session, ada)
    watch(session, ada)
    dispute(session, ada)
    open_case(session, ada)
    session.flush()
    later = DAY + timedelta(days=1)
    lifted = {"lifted_by": actor, "lifted_at": later, "lifted_reason": "fine"}
    decided = {"decided_by": actor, "decided_at": later}
    granted = {"granted_micro": 1, "entry_id": ada.user_id, "answer": "yes"}
    writes: list[Any] = [
        update(Hold).values(lifted),
        update(Watch).values(decided | {"state": "cleared", "decided_reason": "fine"}),
        update(Dispute).values(decided | {"state": "won", "held_micro": 0}),
        update(Case).values(decided | granted | {"state": "accepted"}),
        insert(Deal).values(deal(ada, actor)),
    ]

    for write in writes:
        nested = session.begin_nested()
        with pytest.raises(IntegrityError, match="nobody decides about themselves"):
            session.execute(write)
        nested.rollback()


def test_a_deal_of_somebody_else_is_kept(session: Session) -> None:
    ada, bob = both(session), make_operator(session)

    session.execute(insert(Deal).values(deal(ada, actor_of(bob.user_id))))

    assert session.scalars(select(Deal.share_bps)).all() == [9000]


def test_the_console_knows_who_decides(client: TestClient, session: Session) -> None:
    ada = both(session)
    case = open_case(session, ada)
    hold(session, ada)
    sign_in(client, ada)

    path = f"/admin/cases/{ids.public(CASE, case.id)}/accept"
    accepted = client.post(path, data={"amount": "150", "answer": "yes"})
    lifted = client.post(
        "/ops/unhold", params={"pid": ids.public("par", ada.partner_id)}, data={"reason": "fine"}
    )

    assert (accepted.status_code, lifted.status_code) == (403, 403)
    assert balance(session, ada, "available") == "0.00 EUR"
    assert session.scalars(select(Hold.lifted_at)).all() == [None]
