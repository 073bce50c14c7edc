"""Links as their source tells them."""

from typing import Any
from uuid import uuid4

from flowlink.tracking.link_table import LinkRow

PARTNER, OFFER = uuid4(), uuid4()


def row(number: int, code: str = "", **changes: Any) -> LinkRow:
    """A link of one partner and one offer."""
    plain = LinkRow(
        number=number,
        host="",
        code=code or f"code{number}",
        destination=None,
        disabled=False,
        expires_ms=0,
        routing=None,
        partner=7,
        partner_id=PARTNER,
        partner_active=True,
        offer_id=OFFER,
        offer_destination="https://shop.example/",
        click_param="subid",
    )
    return plain._replace(**changes)
