"""The source as the architecture tests read it."""

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent.parent
PACKAGE = ROOT / "flowlink"


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    paths = (ROOT / name for name in listed.stdout.split("\0") if name)
    return tuple(path for path in paths if path.is_file())


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def sources(*folders: str) -> list[Path]:
    """The Python files of these folders, in order."""
    return [
        path
        for path in tracked()
        if path.suffix == ".py" and name(path).startswith(tuple(f"{folder}/" for folder in folders))
    ]


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text())


def nodes(paths: list[Path]) -> Iterator[tuple[str, ast.AST]]:
    """Every node of these files with its place."""
    for path in paths:
        for node in ast.walk(tree(path)):
            yield f"{name(path)}:{getattr(node, 'lineno', 1)}", node


def module(path: Path) -> str:
    """Which of flowlink's modules a file belongs to."""
    return path.relative_to(PACKAGE).parts[0]
