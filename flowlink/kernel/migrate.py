"""Migrations: brought up under a lock, one process at a time, only when something is missing."""

import re
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import create_engine, text

from flowlink.kernel import db

VERSIONS = Path(__file__).parent.parent / "migrations" / "versions"
_LOCK = 7_046_029_254_386_353_131  # any number, the same for every flowlink
_REVISION = re.compile(r"^(down_)?revision = \"?(\w+)\"?", re.MULTILINE)


def head() -> str:
    """The newest revision in this code: the one that no other follows."""
    found: dict[str, str] = {}
    for file in VERSIONS.glob("*.py"):
        names = dict(_REVISION.findall(file.read_text()))
        found[names[""]] = names.get("down_", "")
    (newest,) = set(found) - set(found.values())
    return newest


def is_current(url: str) -> bool:
    """Whether the database has this code's schema. Cheap: Alembic is not imported for it."""
    with psycopg.connect(db.conninfo(url)) as connection:
        if connection.execute("SELECT to_regclass('alembic_version')").fetchone() == (None,):
            return False
        return connection.execute("SELECT version_num FROM alembic_version").fetchone() == (head(),)


def upgrade(url: str) -> None:
    """Bring the database up to this code's schema; others that try wait and find it done."""
    from alembic import command

    engine = create_engine(db.normal_url(url))
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
            connection.commit()
            command.upgrade(_config(connection=connection), "head")
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
            connection.commit()
    finally:
        engine.dispose()


def differences(url: str, metadata: Any) -> list[Any]:
    """What separates the migrated database from the models: empty when they say the same."""
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext

    engine = create_engine(db.normal_url(url))
    try:
        with engine.connect() as connection:
            options = {"include_name": _is_ours, "compare_server_default": False}
            context = MigrationContext.configure(connection, opts=options)
            return list(compare_metadata(context, metadata))
    finally:
        engine.dispose()


def _is_ours(name: str | None, kind: str, parents: Any) -> bool:
    """Leave out the queue's own tables and the partitions, which have no model."""
    return not (
        kind == "table"
        and name is not None
        and (name.startswith("procrastinate_") or re.search(r"_(\d|\d{8}|default)$", name))
    )


def _config(**attributes: Any) -> Any:
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(VERSIONS.parent))
    config.attributes.update(attributes)
    return config
