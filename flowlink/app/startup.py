"""What every installation has from its first start."""

from datetime import datetime

from flowlink.kernel import db, settings
from flowlink.tracking import service as tracking


def seed(*, now: datetime) -> None:
    """See that the network `direct` and the offer `default` are there (spec 8)."""
    with db.write() as session:
        tracking.seed(session, base_url=settings.current().url, now=now)
