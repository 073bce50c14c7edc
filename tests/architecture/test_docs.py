"""What exists is written down: every module, setting, flag, policy number, job and error."""

import re
from collections import Counter
from functools import cache
from importlib import import_module

import pytest

from flowlink.app import registry
from flowlink.kernel import jobs, policy
from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.flags import Flag
from flowlink.kernel.settings import Settings
from tests.architecture.tree import PACKAGE, ROOT, sources

ROW = re.compile(
    r"^\| (`\w+` \|[^|]*)\|", re.MULTILINE
)  # of a table: a name, and what is beside it
FROM_ELSEWHERE = {"XDG_DATA_HOME"}  # the desktop's variable, not ours


@cache
def docs() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "docs").rglob("*.md")))


def words(text: str) -> set[str]:
    return set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", text))


def test_every_module_is_in_the_docs() -> None:
    modules = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}

    assert modules - words(docs()) == set()


@pytest.mark.parametrize("place", [".env.example", "docs/settings.md"])
def test_every_setting_is_written_down(place: str) -> None:
    settings = {name.upper() for name in Settings.model_fields} - FROM_ELSEWHERE

    assert settings - words((ROOT / place).read_text()) == set()


def test_the_example_names_no_setting_that_is_gone() -> None:
    named = re.findall(r"^([A-Z_0-9]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE)

    assert {name.lower() for name in named} - set(Settings.model_fields) == set()


def test_every_flag_and_policy_number_is_in_the_docs() -> None:
    assert ({flag.value for flag in Flag} | set(policy.NAMES)) - words(docs()) == set()


def test_every_job_is_in_the_docs() -> None:
    registry.load()

    assert set(jobs.JOBS) - words(docs()) == set()


@pytest.mark.parametrize("place", ["docs/jobs.md", "docs/settings.md", "docs/errors.md"])
def test_nothing_is_in_the_docs_twice(place: str) -> None:
    parts = re.split(r"^#+ ", (ROOT / place).read_text(), flags=re.MULTILINE)
    names = [(part.splitlines()[0], row) for part in parts for row in ROW.findall(part)]

    assert [one for one, count in Counter(names).items() if count > 1] == []


def test_every_error_is_in_the_docs() -> None:
    for path in sources("flowlink"):
        if path.name not in {"__main__.py", "env.py"} and "versions" not in path.parts:
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))

    ours = {
        error.__name__
        for error in _below(FlowlinkError)
        if error.__module__.startswith("flowlink.")
    }
    assert ours - words(docs()) == set()


def _below(kind: type[FlowlinkError]) -> set[type[FlowlinkError]]:
    direct = set(kind.__subclasses__())
    return direct.union(*(_below(one) for one in direct))
