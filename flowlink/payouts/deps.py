"""What payouts' routes and those above can require."""

from typing import Annotated

from fastapi import Depends

from flowlink.kernel import clock, policy
from flowlink.kernel.policy import Policy
from flowlink.web.sessions import Db


def current_policy(session: Db) -> Policy:
    """The business numbers in force now."""
    return policy.at(session, clock.now())


CurrentPolicy = Annotated[Policy, Depends(current_policy)]
