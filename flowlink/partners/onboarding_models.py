"""Tables of how partners come: terms, what they accepted and answered, and who brought them."""

from datetime import datetime
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from flowlink.kernel.db import Base, Key


class TermsText(Base):
    """The terms from one moment on, in both languages, and what is new in them."""

    __tablename__ = "partners_terms"
    __table_args__ = (
        CheckConstraint(
            "version <> '' AND body_fr <> '' AND body_en <> '' AND changes_fr <> ''"
            " AND changes_en <> ''",
            name="body",
        ),
    )

    version: Mapped[str] = mapped_column(Text, primary_key=True)
    in_force_at: Mapped[datetime]
    body_fr: Mapped[str] = mapped_column(Text)
    body_en: Mapped[str] = mapped_column(Text)
    changes_fr: Mapped[str] = mapped_column(Text)
    changes_en: Mapped[str] = mapped_column(Text)
    actor: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class Acceptance(Base):
    """That a partner accepted a version of the terms, and when. Rows are only added."""

    __tablename__ = "partners_acceptance"

    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"), primary_key=True)
    version: Mapped[str] = mapped_column(Text, primary_key=True)
    at: Mapped[datetime]


class Question(Base):
    """What newcomers are asked. A retired one keeps its answers."""

    __tablename__ = "partners_question"
    __table_args__ = (CheckConstraint("asked_fr <> '' AND asked_en <> ''", name="asked"),)

    id: Mapped[Key]
    asked_fr: Mapped[str] = mapped_column(Text)
    asked_en: Mapped[str] = mapped_column(Text)
    required: Mapped[bool]
    retired_at: Mapped[datetime | None]
    created_at: Mapped[datetime]


class Answer(Base):
    """What a partner answered when they joined."""

    __tablename__ = "partners_answer"

    partner_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"), primary_key=True)
    question_id: Mapped[UUID] = mapped_column(ForeignKey("partners_question.id"), primary_key=True)
    answer: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]


class Void(StrEnum):
    """Why a referral brings nothing."""

    SAME_PERSON = "same_person"
    SAME_DETAILS = "same_details"


class Referral(Base):
    """That one partner brought another: their share of what that one earns, from when to when."""

    __tablename__ = "partners_referral"
    __table_args__ = (
        CheckConstraint("referrer_id <> referred_id", name="self"),
        CheckConstraint("share_bps BETWEEN 0 AND 10000", name="share"),
        CheckConstraint("started_at <= ends_at", name="term"),
        CheckConstraint(
            "(void_at IS NULL) = (void_reason IS NULL)"
            " AND void_reason IN ('same_person', 'same_details')",
            name="void",
        ),
        Index("ix_partners_referral_referrer_id", "referrer_id", "referred_id"),
    )

    referred_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"), primary_key=True)
    referrer_id: Mapped[UUID] = mapped_column(ForeignKey("partners_partner.id"))
    share_bps: Mapped[int]
    started_at: Mapped[datetime]
    ends_at: Mapped[datetime]
    void_at: Mapped[datetime | None]
    void_reason: Mapped[Void | None] = mapped_column(Text)
