"""A shop, a click on its link, and a way to send its network's postbacks."""

from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from flowlink.tracking import postbacks
from flowlink.tracking.postbacks import PostbackIn
from tests.tracking.makers import Send, Shop, make_click, make_shop, postback


@pytest.fixture
def shop(session: Session, now: datetime) -> Shop:
    return make_shop(session, now=now)


@pytest.fixture
def click(session: Session, shop: Shop, now: datetime) -> str:
    return make_click(session, shop, now)


@pytest.fixture
def send(session: Session, shop: Shop, now: datetime) -> Send:
    """Send a postback of the shop's network; the answer's result and reason."""

    def receive(*, at: datetime = now, **fields: str) -> tuple[str, str | None]:
        request = PostbackIn(method="GET", query=postback(shop, **fields))
        result = postbacks.receive(session, request=request, now=at)
        session.flush()
        return result.result.value, result.reason

    return receive
