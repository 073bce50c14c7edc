"""An operator who is signed in, and something to look at."""

from datetime import datetime

import pytest
from fastapi.testclient import TestClient
from sqlalchemy.orm import Session

from tests.factories import Person, make_operator, sign_in
from tests.insights.makers import World, make_world


@pytest.fixture
def operator(client: TestClient, session: Session) -> Person:
    return sign_in(client, make_operator(session))


@pytest.fixture
def world(session: Session, now: datetime) -> World:
    return make_world(session, now=now)
