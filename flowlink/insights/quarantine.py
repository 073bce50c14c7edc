"""Reads of what waits in the inbox, of one postback's understanding, and of reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

from sqlalchemy import Text, cast, func, select
from sqlalchemy.orm import Session

from flowlink.tracking import claims
from flowlink.tracking.models import ConversionRevision, Network, Postback, Result
from flowlink.tracking.report_models import Report, ReportRow

GOOD = (Result.OK.value, Result.DUPLICATE.value)


@dataclass(frozen=True)
class Waiting:
    """Postbacks of a network that wait for the same thing: a word, another reason, a click."""

    network: str
    result: str
    reason: str | None
    word: str | None
    count: int
    since: datetime
    example: UUID


@dataclass(frozen=True)
class Part:
    """A field of the network's map: our name, its name, and what stood there."""

    ours: str
    theirs: str
    value: str


@dataclass(frozen=True)
class ReportLine:
    """A report and how far it is: rows by result."""

    report: Report
    network: str
    results: Mapping[str, int]

    @property
    def done(self) -> int:
        return sum(self.results.values())

    @property
    def problems(self) -> int:
        return sum(count for result, count in self.results.items() if result not in GOOD)


def waiting(session: Session, *, limit: int = 200) -> Sequence[Waiting]:
    """What waits, the largest heap first."""
    group = (Network.name, Postback.result, Postback.reason, Postback.word)
    rows = (
        select(
            *group,
            func.count(),
            func.min(Postback.received_at),
            func.min(cast(Postback.id, Text)),
        )
        .join(Network, Network.id == Postback.network_id)
        .where(Postback.result.in_([Result.ORPHAN, Result.QUARANTINED, Result.RECEIVED]))
        .group_by(*group)
        .order_by(func.count().desc(), Network.name, Postback.word)
        .limit(limit)
    )
    return [
        Waiting(name, str(result), reason, word, count, since, UUID(example))
        for name, result, reason, word, count, since, example in session.execute(rows)
    ]


def parts(session: Session, postback_id: UUID) -> Sequence[Part]:
    """What each field of the network's map finds in a postback."""
    postback = session.get_one(Postback, postback_id)
    if postback.network_id is None:
        return []
    network = session.get_one(Network, postback.network_id)
    given = claims.fields_of(postback.query, postback.content_type, postback.body)
    return [
        Part(ours, theirs, ", ".join(given.get(theirs, []))[:300])
        for ours, theirs in network.fields.items()
    ]


def revisions(session: Session, conversion_id: UUID) -> Sequence[ConversionRevision]:
    """Every step of a conversion, first to last."""
    rows = select(ConversionRevision).where(ConversionRevision.conversion_id == conversion_id)
    return session.scalars(rows.order_by(ConversionRevision.revision)).all()


def reports(
    session: Session, *, before: UUID | None = None, limit: int = 50
) -> Sequence[ReportLine]:
    """The newest first."""
    rows = select(Report, Network.name).join(Network, Network.id == Report.network_id)
    if before is not None:
        rows = rows.where(Report.id < before)
    found = session.execute(rows.order_by(Report.id.desc()).limit(limit)).all()
    return [ReportLine(report, name, _results(session, report.id)) for report, name in found]


def report(session: Session, found: Report) -> ReportLine:
    """One report with its counts."""
    name = session.get_one(Network, found.network_id).name
    return ReportLine(found, name, _results(session, found.id))


def rows_of(
    session: Session,
    report_id: UUID,
    *,
    after: int = 0,
    only_problems: bool = False,
    limit: int = 50,
) -> Sequence[ReportRow]:
    """Rows that have their result, in the order of the file."""
    rows = select(ReportRow).where(
        ReportRow.report_id == report_id,
        ReportRow.number > after,
        ReportRow.result.is_not(None),
    )
    if only_problems:
        rows = rows.where(ReportRow.result.not_in(GOOD))
    return session.scalars(rows.order_by(ReportRow.number).limit(limit)).all()


def _results(session: Session, report_id: UUID) -> dict[str, int]:
    mine = ReportRow.report_id == report_id, ReportRow.result.is_not(None)
    rows = select(ReportRow.result, func.count()).where(*mine).group_by(ReportRow.result)
    return {str(result): count for result, count in session.execute(rows)}
