"""Transactions and locks have one home; a table is written by its owner alone."""

import ast
import re
from pathlib import Path

from flowlink.app import registry
from flowlink.kernel import migrate
from tests.architecture.tree import PACKAGE, module, name, nodes, sources, tree
from tests.cluster import Cluster

# The click path has sessions of its own (docs/decisions/0004); the others are the kernel's.
MAY_COMMIT = {
    "flowlink/kernel/db.py",
    "flowlink/kernel/migrate.py",
    "flowlink/kernel/jobs.py",
    "flowlink/tracking/recorder.py",
    "flowlink/tracking/link_source.py",
}
ENDINGS = {"commit", "rollback", "with_for_update", "begin", "begin_nested"}
LOCKS = re.compile(r"FOR (NO KEY )?UPDATE|pg_(try_)?advisory|LOCK TABLE", re.IGNORECASE)
WRITES = re.compile(
    r"\b(?:INSERT INTO|UPDATE|DELETE FROM|TRUNCATE|COPY)\s+([a-z]+)_[a-z_]+", re.DOTALL
)
MODULES = {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - {"app", "migrations"}


def code() -> list[Path]:
    return [path for path in sources("flowlink") if module(path) != "migrations"]


def test_only_the_database_module_ends_transactions_or_locks() -> None:
    found = [
        place
        for place, node in nodes([path for path in code() if name(path) not in MAY_COMMIT])
        if (
            isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in ENDINGS
        )
        or (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and LOCKS.search(node.value)
            and "flowlink/ledger" not in place  # its functions lock inside the database
        )
    ]

    assert found == []


def test_a_table_is_written_by_its_owner_alone() -> None:
    foreign = [
        f"{place} {owner}"
        for path in code()
        if module(path) != "app"
        for place, owner in (*_written_in_sql(path), *_written_by_class(path))
        if owner in MODULES and owner != module(path)
    ]

    assert foreign == []


def test_migrations_import_nothing_of_the_product() -> None:
    imports = [
        place
        for place, node in nodes(sources("flowlink/migrations"))
        if (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("flowlink"))
        or (isinstance(node, ast.Import) and any(a.name.startswith("flowlink") for a in node.names))
    ]

    assert imports == []


def test_the_migrated_database_is_what_the_models_say(cluster: Cluster) -> None:
    assert migrate.differences(cluster.url("shared"), registry.metadata()) == []


def _written_in_sql(path: Path) -> list[tuple[str, str]]:
    return [
        (place, owner)
        for place, node in nodes([path])
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
        for owner in WRITES.findall(node.value)
    ]


def _written_by_class(path: Path) -> list[tuple[str, str]]:
    """Rows made, inserted, updated, deleted or locked of classes from another module's models."""
    imported: dict[str, str] = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").endswith(".models"):
            owner = (node.module or "").split(".")[1]
            imported |= {alias.asname or alias.name: owner for alias in node.names}
    found = []
    for place, node in nodes([path]):
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        table = called
        if called in {"insert", "update", "delete", "sa.insert", "sa.update", "sa.delete"}:
            table = ast.unparse(node.args[0])
        if called == "db.lock":
            table = ast.unparse(node.args[1])
        if table in imported and table[0].isupper() and not table.isupper():
            found.append((f"{place} {table}", imported[table]))
    return found
