"""The repository speaks of the product: no machine's paths, no registry's hosts, no leftovers."""

import re

from tests.architecture.tree import ROOT, name, tracked

HOSTS = re.compile(rb"pypi\.org|pythonhosted\.org|npmjs\.(?:org|com)|deb\.debian\.org|docker\.io/")
PATHS = re.compile(rb"(?<![\w./-])/(?:work|root|opt/(?:pypi|wheels))/")
LEFT = re.compile(rb"\b(?:TODO|FIXME|HACK)\b")
HERE = "tests/architecture/test_repository.py"


def lines_with(pattern: re.Pattern[bytes]) -> list[str]:
    return [
        f"{name(path)}:{number}"
        for path in tracked()
        if name(path) != HERE
        for number, line in enumerate(path.read_bytes().splitlines(), 1)
        if pattern.search(line)
    ]


def test_no_registry_is_named() -> None:
    assert lines_with(HOSTS) == []


def test_no_path_of_a_machine_is_named() -> None:
    assert lines_with(PATHS) == []


def test_nothing_is_left_to_do() -> None:
    assert lines_with(LEFT) == []


def test_lock_files_name_no_address() -> None:
    locks = [*(ROOT / "requirements").glob("*.lock"), ROOT / "package-lock.json"]
    addressed = [name(lock) for lock in locks if re.search(rb"https?://", lock.read_bytes())]

    assert addressed == []
