"""The operator's console: all its pages hang here, so that none of them can forget its guard."""

from fastapi import APIRouter, Depends, Response

from flowlink.identity.deps import require_operator
from flowlink.insights import (
    admin_cases,
    admin_desk,
    admin_files,
    admin_groups,
    admin_house,
    admin_inbox,
    admin_money,
    admin_networks,
    admin_offers,
    admin_onboarding,
    admin_people,
    admin_waiting,
    clicks,
)
from flowlink.web.render import see_other

router = APIRouter(include_in_schema=False, dependencies=[Depends(require_operator)])


@router.get("/admin")
def console() -> Response:
    """The console opens with its figures."""
    return see_other("/admin/monitoring")


_PARTS = (
    admin_files,
    admin_desk,
    admin_people,
    admin_groups,
    admin_cases,
    admin_onboarding,
    admin_money,
    admin_waiting,
    admin_networks,
    admin_inbox,
    admin_offers,
    admin_house,
)
for _part in _PARTS:
    router.include_router(_part.router)
router.include_router(clicks.console)
