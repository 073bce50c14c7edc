"""The audit log: who did what, to what, from where (spec 6)."""

from datetime import datetime

from sqlalchemy.orm import Session

from flowlink.kernel.models import AuditRow


def record(
    session: Session,
    actor: str,
    action: str,
    subject: str,
    now: datetime,
    ip: str = "",
    **details: object,
) -> None:
    """Keep that `actor` did `action` (a verb phrase) to `subject` (a public id), with the facts.

    Written in the transaction of the act: there is no act without its line.
    """
    session.add(
        AuditRow(actor=actor, action=action, subject=subject, at=now, ip=ip, details=details)
    )
