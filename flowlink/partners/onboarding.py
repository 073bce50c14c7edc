"""How partners come: the terms in force, their acceptance, and what newcomers are asked.

Until an operator publishes other terms, those of the package are in force. Whoever accepted older
ones is asked again: they keep all that they have and can withdraw it, but make no new link before.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, db, ids
from flowlink.kernel.errors import Invalid, NotFound, Refused
from flowlink.partners import queries
from flowlink.partners.ids import QUESTION, PartnerId
from flowlink.partners.onboarding_models import Acceptance, Answer, Question, TermsText

PACKAGED = "2026-11"
VERSION_MAX = 30
ANSWER_MAX = 2000


class TermsChanged(Refused):
    message = "The terms have changed. Please read and accept them first."


class OldTerms(Refused):
    message = "The terms have changed. Please read them again."


class TermsIncomplete(Invalid):
    message = "New terms need a version that was never used, a text and what is new, both times."
    field = "version"


class AnswerMissing(Invalid):
    message = "Please answer: %(question)s"


class QuestionIncomplete(Invalid):
    message = "A question needs its words in French and in English."
    field = "asked_fr"


class UnknownQuestion(NotFound):
    message = "There is no such question."


@dataclass(frozen=True)
class Given:
    """A question and what a partner answered."""

    question: Question
    answer: str


def current(session: Session, now: datetime) -> TermsText | None:
    """The terms in force; None while they are those of the package."""
    rows = select(TermsText).where(TermsText.in_force_at <= now)
    latest = rows.order_by(TermsText.in_force_at.desc(), TermsText.created_at.desc())
    return session.scalar(latest.limit(1))


def version_in_force(session: Session, now: datetime) -> str:
    """What a partner has to have accepted."""
    terms = current(session, now)
    return terms.version if terms else PACKAGED


def publish(
    session: Session,
    *,
    version: str,
    body_fr: str,
    body_en: str,
    changes_fr: str,
    changes_en: str,
    actor: str,
    now: datetime,
    from_at: datetime | None = None,
    ip: str = "",
) -> TermsText:
    """Put new terms in force, from now or from a later moment on. They never change again.

    :raises TermsIncomplete: something is missing, or the version was used before.
    """
    name = version.strip()[:VERSION_MAX]
    texts = [text.strip() for text in (body_fr, body_en, changes_fr, changes_en)]
    db.advisory_lock(session, "partners.terms")
    if not all([name, *texts]) or name == PACKAGED or session.get(TermsText, name) is not None:
        raise TermsIncomplete
    terms = TermsText(
        version=name,
        in_force_at=max(from_at or now, now),
        body_fr=texts[0],
        body_en=texts[1],
        changes_fr=texts[2],
        changes_en=texts[3],
        actor=actor,
        created_at=now,
    )
    session.add(terms)
    session.flush()
    audit.record(session, actor, "published terms", name, now, ip, since=str(terms.in_force_at))
    return terms


def all_terms(session: Session) -> Sequence[TermsText]:
    """Every published version, the newest first."""
    rows = select(TermsText).order_by(TermsText.in_force_at.desc(), TermsText.created_at.desc())
    return session.scalars(rows).all()


def accept(session: Session, *, partner_id: PartnerId, version: str, now: datetime) -> None:
    """The partner accepts the terms in force; again changes nothing.

    :raises OldTerms: it was another version that they read.
    """
    if version != version_in_force(session, now):
        raise OldTerms
    partner = queries.get(session, partner_id)
    note_accepted(session, partner_id=partner_id, version=version, now=now)
    if partner.terms_version != version:
        partner.terms_version, partner.terms_accepted_at = version, now


def note_accepted(session: Session, *, partner_id: PartnerId, version: str, now: datetime) -> None:
    """Keep when this partner accepted this version, for good."""
    row = {"partner_id": partner_id, "version": version, "at": now}
    session.execute(insert(Acceptance).values(row).on_conflict_do_nothing())


def check_accepted(session: Session, *, version: str, now: datetime) -> None:
    """:raises TermsChanged: `version` is not in force any more."""
    if version != version_in_force(session, now):
        raise TermsChanged


def ask(
    session: Session,
    *,
    asked_fr: str,
    asked_en: str,
    required: bool,
    actor: str,
    now: datetime,
    ip: str = "",
) -> Question:
    """Ask newcomers one thing more.

    :raises QuestionIncomplete:
    """
    if not asked_fr.strip() or not asked_en.strip():
        raise QuestionIncomplete
    question = Question(
        asked_fr=asked_fr.strip(), asked_en=asked_en.strip(), required=required, created_at=now
    )
    session.add(question)
    session.flush()
    subject = ids.public(QUESTION, question.id)
    audit.record(session, actor, "added question", subject, now, ip, asked=question.asked_en)
    return question


def retire(session: Session, *, question_id: UUID, actor: str, now: datetime, ip: str = "") -> None:
    """Ask it no more; what was answered stays.

    :raises UnknownQuestion:
    """
    found = db.lock(session, Question, Question.id == question_id)
    if not found:
        raise UnknownQuestion
    if found[0].retired_at is None:
        found[0].retired_at = now
        subject = ids.public(QUESTION, question_id)
        audit.record(session, actor, "retired question", subject, now, ip)


def questions(session: Session) -> Sequence[Question]:
    """What newcomers are asked now, in the order in which it was added."""
    rows = select(Question).where(Question.retired_at.is_(None)).order_by(Question.id)
    return session.scalars(rows).all()


def keep_answers(
    session: Session,
    *,
    partner_id: PartnerId,
    answers: Mapping[UUID, str],
    lang: str,
    now: datetime,
) -> None:
    """Keep what a newcomer answered to the questions of now; other keys are ignored.

    :raises AnswerMissing: one that is required.
    """
    for question in questions(session):
        text = answers.get(question.id, "").strip()[:ANSWER_MAX]
        if text:
            row = {"partner_id": partner_id, "question_id": question.id, "answer": text, "at": now}
            session.execute(insert(Answer).values(row).on_conflict_do_nothing())
        elif question.required:
            raise AnswerMissing(question=question.asked_fr if lang == "fr" else question.asked_en)


def answers_of(session: Session, partner_id: UUID) -> Sequence[Given]:
    """What a partner answered when they joined."""
    rows = (
        select(Question, Answer.answer)
        .join(Answer, Answer.question_id == Question.id)
        .where(Answer.partner_id == partner_id)
        .order_by(Question.id)
    )
    return [Given(*row) for row in session.execute(rows)]
