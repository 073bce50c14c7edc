"""Nobody decides about themselves: the one guard of all that is decided about a partner.

An operator may be a partner too. What gives that partner money, or frees it, is somebody else's
to decide; triggers of the tables say the same (`partners_refuse_own`).
"""

from sqlalchemy.orm import Session

from flowlink.identity import queries as identity
from flowlink.kernel.errors import Forbidden
from flowlink.partners import queries
from flowlink.partners.ids import PartnerId


class OwnAffair(Forbidden):
    message = "This is about your own partner account. Somebody else has to decide."


def refuse(session: Session, *, partner_id: PartnerId, actor: str) -> None:
    """Whoever stands behind `actor` is not this partner. Jobs and the secret are nobody.

    :raises OwnAffair: :raises queries.UnknownPartner:
    """
    partner = queries.get(session, partner_id)
    if identity.person_behind(session, actor) == partner.user_id:
        raise OwnAffair
