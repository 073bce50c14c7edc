"""The ids of payouts and their public prefixes."""

from typing import NewType
from uuid import UUID

from flowlink.kernel import ids

PREFIX = "pay"
ACCRUAL = "acc"
DEAL = "deal"
DISPUTE = "dsp"
CASE = "case"
BANK_FILE = "bnk"
BANK_LINE = "bln"

WithdrawalId = NewType("WithdrawalId", UUID)


def public(withdrawal_id: UUID) -> str:
    """`pay_…`, as people and scripts see it."""
    return ids.public(PREFIX, withdrawal_id)


def parse(text: str) -> WithdrawalId:
    """:raises NotFound: not a withdrawal's public id."""
    return WithdrawalId(ids.parse(PREFIX, text))
