"""Reading one's mail as a person does: what the built-in outbox keeps for an address."""

import re
from collections.abc import Sequence
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from flowlink.kernel import clock, jobs
from flowlink.notify import queries

_ADDRESS = re.compile(r"^https?://\S+$", re.MULTILINE)


def mails_to(session: Session, address: str) -> Sequence[str]:
    """The texts of all mails to an address, the newest first."""
    jobs.run_pending(clock.now())
    session.expire_all()
    rows = [row for row in queries.mails(session) if row.to == address]
    return [queries.mail(session, mail_id=row.id).content.text for row in rows]


def link_for(session: Session, address: str) -> str:
    """Path and query of the newest sign-in link in somebody's mail."""
    found = _ADDRESS.search(mails_to(session, address)[0])
    assert found is not None
    parts = urlsplit(found[0])
    return f"{parts.path}?{parts.query}"
