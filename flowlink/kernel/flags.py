"""Flags: what an operator switches while the product runs; off does what the spec says."""

from datetime import datetime
from enum import StrEnum

from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from flowlink.kernel import audit, settings
from flowlink.kernel.models import FlagRow
from flowlink.kernel.policy import ReasonMissing


class Flag(StrEnum):
    FEATURE_SUPPORTBOT = "FEATURE_SUPPORTBOT"
    FEATURE_RISKBOT = "FEATURE_RISKBOT"
    FEATURE_BYOP = "FEATURE_BYOP"
    SHARE_EMAIL_ENABLED = "SHARE_EMAIL_ENABLED"


def on(session: Session, flag: Flag) -> bool:
    """Whether the flag is on: as the operator switched it, else as the settings say."""
    row = session.get(FlagRow, flag.value)
    return row.on if row else bool(getattr(settings.current(), flag.value.lower()))


def switch(
    session: Session,
    *,
    flag: Flag,
    on: bool,
    actor: str,
    reason: str,
    now: datetime,
    ip: str = "",
) -> None:
    """Switch the flag for everybody, from now on.

    :raises ReasonMissing: every switch keeps its reason.
    """
    if not reason.strip():
        raise ReasonMissing
    values = {"on": on, "actor": actor, "at": now}
    row = insert(FlagRow).values(name=flag.value, **values)
    session.execute(row.on_conflict_do_update(index_elements=["name"], set_=values))
    audit.record(session, actor, "switched flag", flag.value, now, ip, on=on, reason=reason.strip())
