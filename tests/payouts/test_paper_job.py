"""The job that writes papers: one that fails stops nobody else's."""

import pytest
from sqlalchemy import select

from flowlink.app import registry
from flowlink.kernel import clock, db, jobs
from flowlink.kernel.models import JobRun
from flowlink.papers.models import Paper
from flowlink.payouts import invoices
from flowlink.payouts.jobs import PapersFailed
from flowlink.payouts.tax_models import TaxProfile
from tests.payouts.makers import DAY
from tests.payouts.test_papers import paid


def test_a_paper_that_fails_stops_no_other(database: str) -> None:
    registry.load()
    with db.write() as session:
        bad, broken = paid(session)
        _, withdrawal = paid(session)
        row = session.scalars(
            select(TaxProfile).where(TaxProfile.partner_id == bad.partner_id)
        ).one()
        session.add(
            TaxProfile(
                partner_id=bad.partner_id,
                party={"name": "as no version of ours kept it"},
                sealed=row.sealed,
                mandate_version=row.mandate_version,
                mandate_at=row.mandate_at,
                created_at=DAY,
            )
        )

    with pytest.raises(PapersFailed, match=f"1 invoices .* 1 failed: withdrawal:{broken.id}"):
        jobs.run("papers_issue", clock.now())

    with db.read() as session:
        written = session.scalars(select(Paper.subject)).all()
        ended = session.scalars(select(JobRun).order_by(JobRun.id.desc())).first()
    assert written == [invoices.subject(withdrawal.id)]
    assert ended is not None
    assert not ended.ok
    assert str(broken.id) in ended.result
