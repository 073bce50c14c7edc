"""From a queued mail to a sent one: once, with its secret wiped, or failed where one sees it."""

import threading
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from flowlink.kernel import clock, db, jobs, settings
from flowlink.kernel.errors import NotFound
from flowlink.kernel.models import Event
from flowlink.notify import delivery, queries, service
from flowlink.notify.ids import MailId
from flowlink.notify.models import Mail, MailState
from flowlink.notify.queries import MailView
from flowlink.notify.transport import DeliveryFailed, Hopeless, Outgoing, TryAgain

URL = "https://flowlink.example/login/verify?token=s3cret-t0ken&next=%2Fa"


@dataclass
class Recorder:
    """A transport that keeps what it takes, and fails first as often as it is told to."""

    failures: list[DeliveryFailed] = field(default_factory=list)
    taken: list[Outgoing] = field(default_factory=list)
    name: str = "recorder"

    def deliver(self, mail: Outgoing) -> str:
        if self.failures:
            raise self.failures.pop(0)
        self.taken.append(mail)
        return f"reference-{len(self.taken)}"


def queue(
    session: Session,
    *,
    now: datetime,
    secret: bool = True,
    lang: str = "en",
    source: str | None = None,
    useful_until: datetime | None = None,
) -> MailId:
    return service.send(
        session,
        to="ada@example.org",
        template="identity/email/sign_in",
        lang=lang,
        context={"url": URL},
        secret=secret,
        source=source,
        useful_until=useful_until,
        now=now,
    )


def row(session: Session, mail_id: MailId) -> Mail:
    session.expire_all()
    return session.scalars(select(Mail).where(Mail.id == mail_id)).one()


def view(session: Session, mail_id: MailId) -> MailView:
    session.expire_all()
    return queries.mail(session, mail_id=mail_id)


def test_a_mail_is_sent_and_its_secret_wiped(session: Session, now: datetime) -> None:
    mail_id, way = queue(session, now=now), Recorder()

    state = delivery.deliver(mail_id, now=now, way=way)

    sent, kept = way.taken[0].content, row(session, mail_id)
    assert state == MailState.SENT
    assert sent.subject == "Your sign-in link for flowlink"
    assert f"\n{URL}\n" in sent.text
    assert (
        'href="https://flowlink.example/login/verify?token=s3cret-t0ken&amp;next=%2Fa"' in sent.html
    )
    assert (kept.sealed_context, kept.sealed_content, kept.context) == (None, None, None)
    everything = repr([getattr(kept, column.key) for column in Mail.__mapper__.columns])
    assert "s3cret" not in everything
    assert "•••" in view(session, mail_id).content.text
    assert (kept.attempts, kept.transport, kept.reference) == (1, "recorder", "reference-1")


def test_a_waiting_secret_is_encrypted(session: Session, now: datetime) -> None:
    mail_id = queue(session, now=now)

    waiting = row(session, mail_id)

    assert waiting.sealed_context is not None
    assert b"s3cret" not in waiting.sealed_context
    assert (waiting.context, waiting.text_body) == (None, "")


def test_without_a_transport_the_operator_can_read_it(session: Session, now: datetime) -> None:
    mail_id = queue(session, now=now)

    jobs.run_pending(now)

    kept = row(session, mail_id)
    assert (kept.state, kept.transport) == ("sent", "outbox")
    assert "s3cret" not in kept.text_body + kept.html_body
    assert URL in view(session, mail_id).content.text


def test_the_outbox_forgets_secrets_after_a_day(session: Session, now: datetime) -> None:
    mail_id = queue(session, now=now)
    jobs.run_pending(now)

    jobs.run("mail_forget", now + timedelta(days=1, minutes=1))

    assert URL not in view(session, mail_id).content.text


def test_old_mails_go_but_never_a_waiting_one(session: Session, now: datetime) -> None:
    sent, waiting = queue(session, now=now), queue(session, now=now)
    delivery.deliver(sent, now=now, way=Recorder())

    jobs.run("mail_forget", now + timedelta(days=91))

    session.expire_all()
    assert session.scalars(select(Mail.id)).all() == [waiting]


def test_the_mail_speaks_its_reader_s_language(session: Session, now: datetime) -> None:
    mail_id, way = queue(session, now=now, lang="fr"), Recorder()

    delivery.deliver(mail_id, now=now, way=way)

    assert way.taken[0].content.subject == "Votre lien de connexion à flowlink"
    assert '<html lang="fr">' in way.taken[0].content.html


def test_a_failed_attempt_waits_and_is_made_again(session: Session, now: datetime) -> None:
    mail_id, way = queue(session, now=now), Recorder(failures=[TryAgain("busy")])

    first = delivery.deliver(mail_id, now=now, way=way)
    too_soon = delivery.deliver(mail_id, now=now + timedelta(seconds=59), way=way)
    second = delivery.deliver(mail_id, now=now + timedelta(seconds=61), way=way)

    assert (first, too_soon, second) == ("queued", None, "sent")
    assert [one.message_id for one in way.taken] == [way.taken[0].message_id]
    assert row(session, mail_id).error == ""


def test_after_the_last_attempt_it_fails_visibly(session: Session, now: datetime) -> None:
    mail_id, at = queue(session, now=now), now
    way = Recorder(failures=[TryAgain(f"busy {n}") for n in range(service.ATTEMPTS_MAX)])

    for pause in (*service.PAUSES, timedelta()):
        delivery.deliver(mail_id, now=at, way=way)
        at += pause

    failed = row(session, mail_id)
    assert (failed.state, failed.attempts) == ("failed", service.ATTEMPTS_MAX)
    assert failed.error == f"busy {service.ATTEMPTS_MAX - 1}"
    assert failed.sealed_context is None
    assert delivery.deliver(mail_id, now=at + timedelta(days=9), way=way) is None


def test_a_hopeless_mail_fails_at_once(session: Session, now: datetime) -> None:
    mail_id, way = queue(session, now=now), Recorder(failures=[Hopeless("550 no such user")])

    delivery.deliver(mail_id, now=now, way=way)

    failed = row(session, mail_id)
    assert (failed.state, failed.error) == ("failed", "550 no such user")


def test_a_mail_of_no_more_use_does_not_leave(session: Session, now: datetime) -> None:
    mail_id, way = queue(session, now=now, useful_until=now + timedelta(minutes=15)), Recorder()

    delivery.deliver(mail_id, now=now + timedelta(minutes=15), way=way)

    assert (row(session, mail_id).state, way.taken) == ("failed", [])


def test_a_broken_template_is_a_visible_failure(session: Session, now: datetime) -> None:
    mail_id = service.send(
        session, to="a@b.org", template="identity/email/none", lang="en", context={}, now=now
    )

    delivery.deliver(mail_id, now=now, way=Recorder())

    assert "TemplateNotFound" in row(session, mail_id).error


def test_a_failed_mail_can_be_retried_unless_its_secret_is_gone(
    session: Session, now: datetime
) -> None:
    plain, secret = queue(session, now=now, secret=False), queue(session, now=now)
    way = Recorder(failures=[Hopeless("no"), Hopeless("no")])
    for mail_id in (plain, secret):
        delivery.deliver(mail_id, now=now, way=way)

    service.retry(session, mail_id=plain, actor="cli", now=now)
    with pytest.raises(service.CannotRetry):
        service.retry(session, mail_id=secret, actor="cli", now=now)
    jobs.run_pending(now)

    assert (row(session, plain).state, row(session, secret).state) == ("sent", "failed")
    with pytest.raises(service.CannotRetry):
        service.retry(session, mail_id=plain, actor="cli", now=now)


def test_a_worker_that_died_leaves_the_mail_to_the_schedule(
    session: Session, now: datetime
) -> None:
    mail_id = queue(session, now=now)
    service.claim(session, mail_id=mail_id, now=now)

    meanwhile = jobs.run("mail_retry", now + timedelta(minutes=9))
    later = jobs.run("mail_retry", now + timedelta(minutes=11))

    assert meanwhile == "0 queued, 0 sent, 0 failed"
    assert later == "0 queued, 1 sent, 0 failed"
    assert row(session, mail_id).attempts == 2


def test_the_same_source_queues_one_mail(session: Session, now: datetime) -> None:
    first = queue(session, now=now, source="hold:1")

    again = queue(session, now=now, source="hold:1")

    assert again == first
    assert session.scalar(select(func.count()).select_from(Mail)) == 1
    events = select(func.count()).select_from(Event).where(Event.name == "mail.requested")
    assert session.scalar(events) == 1


@pytest.mark.parametrize(
    "to",
    [
        "",
        "ada",
        "ada@example.org, eve@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\x00",
        "ada@eve@example.org",
        "Ada <ada@example.org>",
    ],
)
def test_a_mail_goes_to_one_address_or_nowhere(session: Session, now: datetime, to: str) -> None:
    with pytest.raises(service.BadRecipient):
        service.send(session, to=to, template="x/email/y", lang="en", context={}, now=now)

    assert session.scalar(select(func.count()).select_from(Mail)) == 0


def test_a_domain_beyond_ascii_is_written_as_servers_read_it(
    session: Session, now: datetime
) -> None:
    mail_id = service.send(
        session,
        to="ada@exämple.org",
        template="identity/email/sign_in",
        lang="en",
        context={"url": URL},
        now=now,
    )
    way = Recorder()

    delivery.deliver(mail_id, now=now, way=way)

    assert way.taken[0].to == "ada@xn--exmple-cua.org"


def test_text_from_outside_stays_text(session: Session, now: datetime) -> None:
    mail_id = service.send(
        session,
        to="ada@example.org",
        template="identity/email/sign_in",
        lang="en",
        context={"url": "<script>alert(1)</script>"},
        now=now,
    )
    way = Recorder()

    delivery.deliver(mail_id, now=now, way=way)

    assert "<script>" in way.taken[0].content.text
    assert "<script>" not in way.taken[0].content.html


def test_the_list_pages_and_filters(session: Session, now: datetime) -> None:
    made = [queue(session, now=now) for _ in range(3)]
    delivery.deliver(made[0], now=now, way=Recorder())
    session.expire_all()

    newest = queries.mails(session, limit=2)
    rest = queries.mails(session, before=newest[-1].id, limit=2)

    assert [one.id for one in [*newest, *rest]] == made[::-1]
    assert [one.id for one in queries.mails(session, state="sent")] == [made[0]]
    assert queries.counts(session) == {"queued": 2, "sent": 1, "failed": 0}
    with pytest.raises(NotFound):
        queries.mail(session, mail_id=MailId(UUID(int=1)))


def test_ten_workers_send_one_mail_once(database: str) -> None:
    now, way, ended = clock.now(), Recorder(), []
    with db.write() as session:
        mail_id = queue(session, now=now)
    start = threading.Barrier(10)

    def work() -> None:
        start.wait()
        ended.append(delivery.deliver(mail_id, now=now, way=way))

    threads = [threading.Thread(target=work) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(way.taken) == 1
    assert sorted(ended, key=str) == [None] * 9 + [MailState.SENT]


def test_a_mail_rolled_back_with_its_cause_is_never_sent(database: str) -> None:
    now = clock.now()

    with suppress(ZeroDivisionError), db.write() as session:
        queue(session, now=now)
        _ = 1 // 0

    assert jobs.run_pending(now) == 0
    with db.read() as session:
        assert session.scalar(select(func.count()).select_from(Mail)) == 0


@pytest.mark.parametrize(
    ("changes", "name"),
    [
        ({}, "outbox"),
        ({"brevo_api_key": "xkeysib"}, "brevo"),
        ({"smtp_url": "smtp://localhost", "brevo_api_key": "xkeysib"}, "smtp"),
    ],
)
def test_the_settings_choose_the_way(changes: dict[str, str], name: str) -> None:
    before = settings.current()
    settings.use(before.model_copy(update=changes))

    chosen = delivery.transport()

    settings.use(before)
    assert chosen.name == name
