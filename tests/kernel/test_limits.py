"""Rate limits: a window holds so many attempts, and the next one starts anew."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.orm import Session

from flowlink.kernel import limits
from flowlink.kernel.errors import LimitReached


def test_attempts_are_counted_a_key_and_a_window(session: Session, now: datetime) -> None:
    for _ in range(3):
        limits.hit("mail:ada", 3, 600, now)
    limits.hit("mail:bob", 3, 600, now)

    with pytest.raises(LimitReached) as refused:
        limits.hit("mail:ada", 3, 600, now)
    assert 0 < refused.value.retry_after_s <= 600
    limits.hit("mail:ada", 3, 600, now + timedelta(seconds=600))


def test_old_windows_are_forgotten(session: Session, now: datetime) -> None:
    limits.hit("mail:ada", 1, 600, now)

    assert limits.forget_old(now + timedelta(hours=20)) == 0
    assert limits.forget_old(now + timedelta(hours=30)) == 1
    limits.hit("mail:ada", 1, 600, now)
