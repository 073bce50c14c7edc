"""Every act that the audit log can name, read out of the source."""

import ast
from collections.abc import Iterator
from pathlib import Path

from flowlink.payouts.case_models import CaseState
from flowlink.payouts.models import State

PACKAGE = Path(__file__).parents[2] / "flowlink"
_DECIDED: dict[str, set[CaseState] | set[State]] = {
    "f'{state} case'": set(CaseState) - {CaseState.OPEN},
    "f'{state} withdrawal'": {State.APPROVED, State.REJECTED},
}
_ACTION = 2  # its place among the arguments of `audit.record`


def acts() -> set[str]:
    """The acts of all modules.

    :raises ValueError: an act is made in a way that is not known here.
    """
    found: set[str] = set()
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        for function in ast.walk(tree):
            if isinstance(function, ast.FunctionDef):
                for call in _recorded(function):
                    found |= set(_words(call.args[_ACTION], function, tree))
    return found


def _recorded(function: ast.FunctionDef) -> Iterator[ast.Call]:
    for node in ast.walk(function):
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "audit.record":
            yield node


def _words(said: ast.expr, function: ast.FunctionDef, tree: ast.Module) -> Iterator[str]:
    match said:
        case ast.Constant(value=str(word)):
            yield word
        case ast.IfExp(body=one, orelse=other):
            yield from _words(one, function, tree)
            yield from _words(other, function, tree)
        case ast.JoinedStr() if (made := ast.unparse(said)) in _DECIDED:
            yield from (made[2:-1].format(state=state) for state in _DECIDED[made])
        case ast.Name(id=name):
            yield from _named(name, function, tree)
        case _:
            raise ValueError(ast.unparse(said))


def _named(name: str, function: ast.FunctionDef, tree: ast.Module) -> Iterator[str]:
    """What a name stands for: a value of this function or module, or what its callers pass."""
    given = [one.arg for one in function.args.args]
    if name in given:
        place = given.index(name)
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == function.name:
                yield from _words(node.args[place], function, tree)
        return
    for node in (*ast.walk(function), *tree.body):
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            yield from _words(node.value, function, tree)
