"""Files and functions stay small, and each file says what it is for."""

import ast

from tests.architecture.tree import name, nodes, sources, tree

LINES_MAX = 400
FUNCTION_LINES_MAX = 50


def test_no_file_is_longer_than_400_lines() -> None:
    lengths = {
        name(path): len(path.read_text().splitlines())
        for path in sources("flowlink", "tests", "tools", "bench")
    }

    assert {path: length for path, length in lengths.items() if length > LINES_MAX} == {}


def test_no_function_is_longer_than_50_lines() -> None:
    long = {
        f"{place} {node.name}": node.end_lineno - node.lineno + 1
        for place, node in nodes(sources("flowlink", "tests", "tools", "bench"))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno
    }

    assert {one: length for one, length in long.items() if length > FUNCTION_LINES_MAX} == {}


def test_every_file_says_what_it_is_for() -> None:
    silent = [
        name(path)
        for path in sources("flowlink", "tests", "tools", "bench")
        if path.read_text().strip() and ast.get_docstring(tree(path)) is None
    ]

    assert silent == []


def test_a_package_is_its_words_alone() -> None:
    speaking = [
        name(path)
        for path in sources("flowlink")
        if path.name == "__init__.py" and len(tree(path).body) != 1
    ]

    assert speaking == []


def test_who_acts_as_staff_acts_from_somewhere() -> None:
    """The audit log says from where (spec 6): whoever passes the name on passes the address on."""
    nowhere = [
        place
        for place, node in nodes(sources("flowlink"))
        if isinstance(node, ast.Call)
        and any(
            each.arg == "actor" and ast.unparse(each.value).endswith(".label")
            for each in node.keywords
        )
        and "ip" not in {each.arg for each in node.keywords}
    ]

    assert nowhere == []
