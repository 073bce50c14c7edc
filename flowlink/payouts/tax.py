"""What a partner says about themselves for their papers, and the mandate to write them."""

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from flowlink.kernel import crypto
from flowlink.kernel.errors import Invalid
from flowlink.papers import parties
from flowlink.papers.parties import Party
from flowlink.partners.ids import PartnerId
from flowlink.payouts.tax_models import TaxProfile

MANDATE = "2026-11"
_OLDEST = 120
_TAX_NUMBER = re.compile(r"[A-Za-z0-9./-]{0,40}")


class BadBirthDate(Invalid):
    message = "Please give your date of birth as year-month-day."
    field = "birth_date"


class BadTaxNumber(Invalid):
    message = "A tax number has up to 40 letters and digits."
    field = "tax_number"


@dataclass(frozen=True, slots=True)
class Profile:
    """A partner on paper. `mandate` is the version they agreed to, empty for none."""

    party: Party
    tax_number: str
    birth_date: date | None
    mandate: str
    mandate_at: datetime | None
    since: datetime

    @property
    def masked_tax_number(self) -> str:
        """Enough to recognise it by."""
        return f"…{self.tax_number[-3:]}" if self.tax_number else ""


def keep(
    session: Session,
    *,
    partner_id: PartnerId,
    party: Party,
    tax_number: str,
    birth_date: date | None,
    mandate: bool,
    now: datetime,
) -> Profile:
    """From now on the partner is this on paper. An empty tax number keeps the one before.

    The mandate given once stays as it was given; taking the tick away takes it back.

    :raises parties.MissingDetail: :raises parties.UnknownCountry: :raises parties.BadVatNumber:
    :raises BadTaxNumber: :raises BadBirthDate: in the future, or too long ago.
    """
    known = current(session, partner_id)
    number = "".join(tax_number.split()) or (known.tax_number if known else "")
    if not _TAX_NUMBER.fullmatch(number):
        raise BadTaxNumber
    _check_birth(birth_date, now)
    agreed = known.mandate_at if known and known.mandate == MANDATE else now
    row = TaxProfile(
        partner_id=partner_id,
        party=parties.checked(party).kept(),
        sealed=_sealed(number, birth_date),
        mandate_version=MANDATE if mandate else "",
        mandate_at=agreed if mandate else None,
        created_at=now,
    )
    session.add(row)
    session.flush()
    return _profile(row)


def current(session: Session, partner_id: PartnerId) -> Profile | None:
    """What the partner said last; None if nothing yet."""
    return profiles(session, [partner_id]).get(partner_id)


def profiles(session: Session, partner_ids: Collection[PartnerId]) -> dict[PartnerId, Profile]:
    """What each of these partners said last."""
    rows = session.scalars(
        select(TaxProfile)
        .where(TaxProfile.partner_id.in_(list(partner_ids)))
        .order_by(TaxProfile.partner_id, TaxProfile.id)
    )
    return {PartnerId(row.partner_id): _profile(row) for row in rows}


def _check_birth(birth_date: date | None, now: datetime) -> None:
    if birth_date is None:
        return
    if not now.year - _OLDEST <= birth_date.year or birth_date >= now.date():
        raise BadBirthDate


def _sealed(tax_number: str, birth_date: date | None) -> bytes:
    born = birth_date.isoformat() if birth_date else ""
    return crypto.encrypt(json.dumps({"tax_number": tax_number, "born": born}).encode())


def _profile(row: TaxProfile) -> Profile:
    secret = json.loads(crypto.decrypt(row.sealed))
    return Profile(
        party=Party.of(row.party),
        tax_number=secret["tax_number"],
        birth_date=date.fromisoformat(secret["born"]) if secret["born"] else None,
        mandate=row.mandate_version,
        mandate_at=row.mandate_at,
        since=row.created_at,
    )
