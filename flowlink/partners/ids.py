"""The partner's id and its public prefix."""

from typing import NewType
from uuid import UUID

from flowlink.kernel import ids

PREFIX = "par"
GROUP = "grp"
QUESTION = "qst"

PartnerId = NewType("PartnerId", UUID)


def public(partner_id: PartnerId) -> str:
    """`par_…`, as people and scripts see it."""
    return ids.public(PREFIX, partner_id)


def parse(text: str) -> PartnerId:
    """:raises NotFound: not a partner's public id."""
    return PartnerId(ids.parse(PREFIX, text))
