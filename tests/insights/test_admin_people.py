"""Partners in the console: found, dealt with together after a preview, and written to."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from flowlink.identity.ids import actor_of
from flowlink.identity.models import User
from flowlink.insights import partner_acts
from flowlink.kernel import policy as policies
from flowlink.kernel.ids import public as public_id
from flowlink.kernel.models import AuditRow
from flowlink.notify.models import Mail
from flowlink.partners import groups, ids, letters, queries as partners
from flowlink.partners.models import Partner, PartnerStatus
from flowlink.risk import queries as risk, service as risk_service
from tests.factories import Person, make_partner, sign_in
from tests.insights.makers import ENGLISH, FRENCH, read, send

PREVIEW, ACT = "/admin/partners/preview", "/admin/partners/act"
WHY = {"reason": "He buys his own clicks"}
LETTER = {"subject": "Your numbers", "body": "Well done.\n\nGo on."}
MISSING = "par_00000000000000000000000000"


def named(person: Person) -> str:
    return ids.public(person.partner_id)


def applicant(session: Session) -> Person:
    person = make_partner(session)
    session.get_one(Partner, person.partner_id).status = PartnerStatus.PENDING
    session.flush()
    return person


def state(session: Session, person: Person) -> str:
    session.expire_all()
    return str(partners.get(session, person.partner_id).status)


def held(session: Session, person: Person) -> int:
    session.expire_all()
    return sum(hold.lifted_at is None for hold in risk.holds_of(session, person.partner_id))


def mails(session: Session, person: Person) -> list[Mail]:
    rows = select(Mail).where(Mail.to_address == person.email).order_by(Mail.id)
    return [*session.scalars(rows)]


def written(session: Session) -> int:
    return session.scalar(text("SELECT count(*) FROM kernel_audit")) or 0


def post(client: TestClient, path: str, *people: Person, **form: str) -> tuple[int, str]:
    """What a form with these partners ticked brings: its status, and where it leads or its page."""
    data = {"partner": [named(person) for person in people], **form}
    answer = client.post(path, data=data, headers=ENGLISH, follow_redirects=False)
    return answer.status_code, answer.headers.get("location", answer.text)


def hold(session: Session, person: Person, now: datetime) -> None:
    risk_service.place_hold(
        session,
        partner_id=person.partner_id,
        reason="odd clicks",
        evidence={},
        actor="test",
        now=now,
        policy=policies.at(session, now),
    )


@pytest.mark.parametrize("path", [PREVIEW, ACT, f"/admin/partners/{MISSING}/act"])
def test_only_operators_act_on_partners(client: TestClient, session: Session, path: str) -> None:
    ada = make_partner(session)
    before = written(session)

    assert post(client, path, ada, act="ban", **WHY)[0] == 401
    sign_in(client, make_partner(session))
    assert post(client, path, ada, act="ban", **WHY)[0] == 403

    assert (state(session, ada), written(session)) == ("active", before)


def test_partners_are_found_by_state_group_hold_name_and_id(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    ada, ben, zoe = make_partner(session, "12.34"), make_partner(session), applicant(session)
    hold(session, ben, now)
    group = groups.create(session, name="Gold", actor="test", now=now)
    groups.move(
        session,
        partner_id=ada.partner_id,
        group_id=group.id,
        reason="sells",
        actor="test",
        now=now,
    )
    everyone = {ada.email, ben.email, zoe.email}

    def found(query: str) -> set[str]:
        page = read(client, f"/admin/partners?{query}")
        lines = read(client, f"/admin/partners.csv?{query}")
        shown = {email for email in everyone if email in page}
        assert shown == {email for email in everyone if email in lines}
        return shown

    public = public_id(ids.GROUP, group.id)
    assert found("") == everyone
    assert found("status=pending") == {zoe.email}
    assert found("hold=yes") == {ben.email}
    assert found("hold=no&status=active") == {ada.email}
    assert found(f"q={named(ben)}") == {ben.email}
    assert found(f"q={zoe.email[:14]}") == {zoe.email}
    assert found(f"group={public}") == {ada.email}
    assert found("group=none") == {ben.email, zoe.email}
    assert "12.34" in read(client, f"/admin/partners.csv?group={public}")


def test_the_preview_says_what_happens_to_whom_and_changes_nothing(
    client: TestClient, session: Session, operator: Person
) -> None:
    ada, zoe = make_partner(session), applicant(session)
    before = written(session)

    code, page = post(client, PREVIEW, ada, zoe, act="approve")

    assert code == 200
    assert "Becomes a partner and gets a welcome mail" in page
    assert "does not wait for approval" in page
    assert f'name="partner" value="{named(zoe)}"' in page
    assert f'name="partner" value="{named(ada)}"' not in page
    assert (state(session, zoe), written(session)) == ("pending", before)
    french = client.post(PREVIEW, data={"partner": named(zoe), "act": "approve"}, headers=FRENCH)
    assert "Devient partenaire" in french.text


def test_many_are_approved_at_once_and_a_second_click_does_nothing(
    client: TestClient, session: Session, operator: Person
) -> None:
    ada, ben, zoe = make_partner(session), applicant(session), applicant(session)

    first = post(client, ACT, ada, ben, zoe, act="approve")
    again = post(client, ACT, ada, ben, zoe, act="approve")

    assert first == (303, "/admin/partners?did=approve&done=2&left=1")
    assert again == (303, "/admin/partners?did=approve&done=0&left=3")
    assert [state(session, each) for each in (ada, ben, zoe)] == ["active"] * 3
    assert (len(mails(session, ben)), len(mails(session, ada))) == (1, 0)
    assert "It concerned 2 partners. For one it did not fit any more." in read(client, first[1])
    assert "Nothing was done" in read(client, again[1])


def test_applicants_are_declined_with_a_reason_they_read(
    client: TestClient, session: Session, operator: Person
) -> None:
    zoe = applicant(session)

    assert post(client, ACT, zoe, act="decline", reason=" ")[0] == 400
    assert state(session, zoe) == "pending"
    assert post(client, ACT, zoe, act="decline", reason="No website")[0] == 303
    assert state(session, zoe) == "closed"
    (mail,) = mails(session, zoe)
    assert "No website" in str(mail.context)


def test_holds_are_placed_and_lifted_for_many(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    ada, ben = make_partner(session), make_partner(session)
    hold(session, ben, now)

    assert post(client, ACT, ada, ben, act="hold", reason="")[0] == 400
    assert held(session, ada) == 0
    assert post(client, ACT, ada, ben, act="hold", **WHY)[1].endswith("done=1&left=1")
    assert (held(session, ada), held(session, ben)) == (1, 1)
    assert post(client, ACT, ada, ben, act="lift", reason=" ")[0] == 400
    assert post(client, ACT, ada, ben, act="lift", reason="Real people")[1].endswith(
        "done=2&left=0"
    )
    assert post(client, ACT, ada, ben, act="lift", reason="Again")[1].endswith("done=0&left=2")
    assert (held(session, ada), held(session, ben)) == (0, 0)


def test_a_ban_closes_holds_and_writes_one_mail(
    client: TestClient, session: Session, operator: Person
) -> None:
    ada = make_partner(session, "30.00")
    path = f"/admin/partners/{named(ada)}/act"

    assert send(client, path, act="ban", reason="")[0] == 400
    assert (state(session, ada), held(session, ada)) == ("active", 0)
    assert send(client, path, act="ban", **WHY) == (303, f"/admin/partners/{named(ada)}")
    assert send(client, path, act="ban", **WHY)[0] == 303

    assert (state(session, ada), held(session, ada)) == ("closed", 1)
    (mail,) = mails(session, ada)
    assert mail.template == "partners/email/banned"
    actions = select(AuditRow.action).where(AuditRow.subject == named(ada))
    done = [*session.scalars(actions)]
    assert (done.count("banned partner"), done.count("placed hold")) == (1, 1)


def test_a_letter_leaves_in_their_language_and_stands_in_their_portal(
    client: TestClient, session: Session, operator: Person
) -> None:
    ada, ben = make_partner(session), make_partner(session)
    session.get_one(User, ada.user_id).lang = "fr"
    session.get_one(User, ben.user_id).lang = "en"
    session.flush()

    code, page = post(client, PREVIEW, ada, ben, act="message", **LETTER)
    assert (code, "Gets this message as a mail" in page) == (200, True)
    sent = post(client, ACT, ada, ben, act="message", once="form-1", **LETTER)
    again = post(client, ACT, ada, ben, act="message", once="form-1", **LETTER)

    assert (sent[1][-13:], again[1][-13:]) == ("done=2&left=0", "done=0&left=2")
    assert [mail.lang for each in (ada, ben) for mail in mails(session, each)] == ["fr", "en"]
    assert [one.subject for one in letters.letters(session, ada.partner_id)] == ["Your numbers"]
    assert "Well done." in read(client, f"/admin/partners/{named(ada)}")
    sign_in(client, ada)
    assert "Well done." in read(client, "/partner/portal")
    assert "Your numbers" in read(client, "/partner/messages.csv")
    sign_in(client, make_partner(session))
    assert "Well done." not in read(client, "/partner/portal")
    assert "Your numbers" not in read(client, "/partner/messages.csv")


def test_two_forms_with_the_same_words_are_two_letters(
    client: TestClient, session: Session, operator: Person
) -> None:
    ada = make_partner(session)
    path = f"/admin/partners/{named(ada)}/act"

    for once in ("form-1", "form-2", "", ""):
        assert send(client, path, act="message", once=once, **LETTER)[0] == 303

    assert len(mails(session, ada)) == 4


@pytest.mark.parametrize(
    "form",
    [
        {"act": "message", "subject": "x", "body": " "},
        {"act": "message", "subject": "", "body": "x"},
        {"act": "knight"},
        {"act": "message", "subject": "x" * 201, "body": "x"},
    ],
)
def test_a_form_that_says_nothing_is_refused(
    client: TestClient, session: Session, operator: Person, form: dict[str, str]
) -> None:
    ada = make_partner(session)

    assert post(client, PREVIEW, ada, **form)[0] == 400
    assert post(client, ACT, ada, **form)[0] == 400
    assert mails(session, ada) == []


def test_nobody_chosen_is_refused(client: TestClient, operator: Person) -> None:
    code, page = post(client, PREVIEW, act="approve")

    assert (code, "Tick at least one partner" in page) == (400, True)
    assert post(client, ACT, act="approve")[0] == 400


def test_what_is_no_partner_is_not_found(client: TestClient, operator: Person) -> None:
    assert send(client, ACT, partner="ada@example.org", act="approve")[0] == 404
    assert send(client, f"/admin/partners/{MISSING}/act", act="ban", **WHY)[0] == 404


def test_everyone_whom_the_search_matches_is_previewed(
    client: TestClient, session: Session, operator: Person
) -> None:
    ada, *waiting = make_partner(session), *(applicant(session) for _ in range(55))

    code, page = post(client, PREVIEW, act="approve", everyone="on", status="pending")

    assert (code, page.count('name="partner"')) == (200, 55)
    assert ada.email not in page
    assert "55 of the chosen partners are concerned" in page
    assert post(client, ACT, *waiting, act="approve")[1].endswith("done=55&left=0")


def test_more_than_one_act_may_concern_is_refused(
    client: TestClient, session: Session, operator: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(partner_acts, "CHOSEN_MAX", 2)
    for _ in range(3):
        make_partner(session)

    code, page = post(client, PREVIEW, act="message", everyone="on", **LETTER)

    assert (code, "More than 2 partners match" in page) == (400, True)


def test_each_act_says_who_did_it_and_why(
    client: TestClient, session: Session, operator: Person
) -> None:
    ada = make_partner(session)

    post(client, ACT, ada, act="hold", **WHY)

    rows = select(AuditRow).where(AuditRow.subject == named(ada), AuditRow.action == "placed hold")
    (row,) = session.scalars(rows)
    assert (row.details["reason"], row.actor) == (WHY["reason"], actor_of(operator.user_id))
