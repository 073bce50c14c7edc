"""Money is whole numbers: no float can come near it."""

import ast
import re
from pathlib import Path

from tests.architecture.tree import PACKAGE, nodes, sources

MODULES = ("flowlink/ledger", "flowlink/payouts", "flowlink/billing")
SQL_FLOATS = re.compile(r"\b(float[48]?|double precision|real|numeric)\b", re.IGNORECASE)


def money() -> list[Path]:
    return [*sources(*MODULES), PACKAGE / "kernel" / "money.py"]


def test_no_float_stands_where_money_is() -> None:
    floats = [
        place
        for place, node in nodes(money())
        if (isinstance(node, ast.Constant) and isinstance(node.value, float))
        or (isinstance(node, ast.Name) and node.id in {"float", "Float", "Numeric", "Double"})
    ]

    assert floats == []


def test_money_is_never_divided_into_a_float() -> None:
    divided = [
        place
        for place, node in nodes(money())
        if isinstance(node, ast.BinOp | ast.AugAssign) and isinstance(node.op, ast.Div)
    ]

    assert divided == []


def test_no_amount_is_a_float_anywhere() -> None:
    amounts = re.compile(r"(amount|balance|price|_micro|_minor|_cents|_eur)$")
    floating = [
        place
        for place, node in nodes(sources("flowlink"))
        if isinstance(node, ast.AnnAssign | ast.arg)
        and node.annotation is not None
        and "float" in ast.unparse(node.annotation)
        and amounts.search(
            ast.unparse(node.target) if isinstance(node, ast.AnnAssign) else node.arg
        )
    ]

    assert floating == []


def test_the_database_keeps_no_money_in_floats() -> None:
    found = [
        place
        for place, node in nodes(sources("flowlink/migrations/versions", *MODULES))
        if isinstance(node, ast.Constant)
        and isinstance(node.value, str)
        and "CREATE TABLE" in node.value
        and SQL_FLOATS.search(node.value)
    ]

    assert found == []
