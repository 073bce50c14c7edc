"""A worked example with the numbers in force: how one sale becomes money."""

from dataclasses import dataclass

from flowlink.kernel.money import Money
from flowlink.kernel.policy import Policy

SALE = Money.from_cents(50_00)


@dataclass(frozen=True)
class Example:
    """A sale of `sale`: the partner's share, what of it is there at once, and what waits."""

    sale: Money
    share: Money
    at_once: Money
    reserved: Money


def example(policy: Policy) -> Example:
    """Computed like a real commission, so that it can never say something else."""
    share = SALE.share(policy.partner_share_bps)
    reserved = share.share(policy.reserve_bps)
    return Example(sale=SALE, share=share, at_once=share - reserved, reserved=reserved)
