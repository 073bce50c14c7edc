"""Whatever has an id belongs to one team: by way of another team it does not exist."""

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.billing import charges, ids, invoices, payday, purchases
from flowlink.billing.sandbox import Card
from flowlink.identity.models import ApiKey
from flowlink.kernel import clock
from flowlink.kernel.ids import public
from flowlink.papers import service as papers
from flowlink.papers.models import Paper
from flowlink.papers.parties import Party
from flowlink.teams import members, queries
from flowlink.teams.models import Role, Team
from tests.billing.makers import pro_team
from tests.factories import make_person, sign_in
from tests.teams.makers import make_member, make_team, team_key
from tests.teams.test_access import FORM, ROUTES

ABOUT_ONE = [(method, path) for method, path, _ in ROUTES if path.count("{") > 1]


def things_of(session: Session, team: Team) -> dict[str, str]:
    """One of everything that has an id, in this team."""
    now = clock.now()
    guest = members.invite(
        session,
        team=team,
        email="guest@example.org",
        role=Role.MEMBER,
        actor="test",
        lang="en",
        now=now,
    )
    member = make_member(session, team, Role.MEMBER)
    team_key(session, team)
    key = session.scalars(select(ApiKey).where(ApiKey.owner_id == team.id)).one()
    bought = purchases.buy_addon(session, team=team, kind="ram", quantity=1, actor="test", now=now)
    payment_id = bought.payment.id
    charges.checkout(team_id=team.id, payment_id=payment_id, now=now)
    payday.pay(ids.payment(payment_id), card=Card.GOOD, now=now)
    us = Party("Servelink", "1 rue A", "75001", "Paris", "FR")
    papers.keep_company(session, party=us, actor="test", now=now)
    session.flush()
    invoices.issue(session, payment_id=payment_id, now=now)
    paper = session.scalars(select(Paper).where(Paper.owner == team.id)).one()
    return {
        "invitation_id": public("inv", guest.id),
        "user_id": public("usr", member.user_id),
        "key_id": public("key", key.id),
        "resource_id": ids.resource(bought.resource.id),
        "payment_id": ids.payment(payment_id),
        "paper_id": public("doc", paper.id),
    }


def ask(client: TestClient, method: str, path: str, slug: str, things: dict[str, str]) -> int:
    filled = path.format(team_slug=slug, **things)
    sent = {} if method in {"GET", "DELETE"} else {"data": FORM}
    headers = {"accept": "text/html"}
    answer = client.request(method, filled, headers=headers, follow_redirects=False, **sent)  # type: ignore[arg-type]
    return answer.status_code


@pytest.mark.parametrize(("method", "path"), ABOUT_ONE)
def test_another_teams_things_do_not_exist_in_ones_own(
    client: TestClient, session: Session, method: str, path: str
) -> None:
    mine, other = make_team(session), pro_team(session, slug="other")
    things = things_of(session, other)
    owners = {team.slug: queries.members(session, team.id)[0].email for team in (mine, other)}

    sign_in(client, make_person(session, email=owners["acme"]))
    by_way_of_mine = ask(client, method, path, "acme", things)
    sign_in(client, make_person(session, email=owners["other"]))
    their_own = ask(client, method, path, "other", things)

    assert by_way_of_mine == 404
    assert their_own != 404


def test_there_are_such_routes() -> None:
    assert len(ABOUT_ONE) >= 9
