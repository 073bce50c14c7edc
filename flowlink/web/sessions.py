"""The database session of a request."""

from collections.abc import Generator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from flowlink.kernel import db


def _session(request: Request) -> Generator[Session]:
    open_session = db.read if request.method in {"GET", "HEAD"} else db.write
    with open_session() as session:
        yield session


# Scope "function" commits before the reply is sent: a refused commit is never a "201 Created".
Db = Annotated[Session, Depends(_session, scope="function")]
