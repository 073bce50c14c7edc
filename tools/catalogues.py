"""Message catalogues: gather the msgids of flowlink, merge the modules' translations, compile them.

Each module keeps its French in `flowlink/<module>/locale/fr.po`; the product reads the one
merged file `flowlink/web/locale/fr/LC_MESSAGES/flowlink.mo`. Run alone, this lists what has no
translation yet.
"""

import ast
import re
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "flowlink"
MERGED = PACKAGE / "web/locale/fr/LC_MESSAGES/flowlink.mo"
_MARKERS = {"_", "gettext", "mark", "say", "translate"}
Msgid = str | tuple[str, str]


def sources() -> list[Path]:
    """The modules' own catalogues."""
    return sorted(PACKAGE.glob("*/locale/fr.po"))


def build() -> None:
    """Merge and compile, unless the result is newer than all it is made of."""
    newest = max((path.stat().st_mtime_ns for path in [*sources(), Path(__file__)]), default=0)
    if MERGED.is_file() and MERGED.stat().st_mtime_ns > newest:
        return
    MERGED.parent.mkdir(parents=True, exist_ok=True)
    compiled = BytesIO()
    write_mo(compiled, merge())
    MERGED.write_bytes(compiled.getvalue())


def merge() -> Catalog:
    """All modules' translations in one catalogue; the first to translate a msgid wins."""
    whole = Catalog(locale="fr", domain="flowlink", charset="utf-8")
    for path in sources():
        for message in read(path):
            if message.id and message.id not in whole and complete(message.string):
                whole.add(message.id, typeset_all(message.string))
    return whole


def typeset_all(translation: object) -> str | tuple[str, ...]:
    """One text, or each form of a plural."""
    if isinstance(translation, (tuple, list)):
        return tuple(typeset(form) for form in translation)
    return typeset(str(translation))


def typeset(translation: str) -> str:
    """French as printers set it: no line breaks before `:;?!»`, and curved apostrophes."""
    bound = re.sub(r" (?=[:;?!»])|(?<=«) ", "\u00a0", translation)
    return re.sub(r"(?<=\w)'(?=\w)", "\u2019", bound)


def read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale="fr", domain="flowlink", abort_invalid=True)


def complete(translation: object) -> bool:
    """Neither empty nor, for a plural, empty in part."""
    return all(translation) if isinstance(translation, (tuple, list)) else bool(translation)


def msgids() -> dict[Msgid, str]:
    """Every msgid in flowlink, and the first place it stands at."""
    found: dict[Msgid, str] = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        for line, msgid in in_python(path.read_text()):
            found.setdefault(msgid, f"{path.relative_to(ROOT)}:{line}")
    for pattern in ("*.html", "*.txt"):
        for path in sorted(PACKAGE.glob(f"*/templates/**/{pattern}")):
            for line, msgid in in_template(path):
                found.setdefault(msgid, f"{path.relative_to(ROOT)}:{line}")
    return found


def in_template(path: Path) -> Iterator[tuple[int, Msgid]]:
    options = {"trimmed": "true", "silent": "false", "newstyle_gettext": "true"}
    with path.open("rb") as file:
        for line, msgid, _, _ in extract("jinja2.ext:babel_extract", file, options=options):
            yield line, tuple(msgid[:2]) if isinstance(msgid, (tuple, list)) else msgid  # type: ignore[misc]


def in_python(source: str) -> Iterator[tuple[int, Msgid]]:
    """Texts handed to a marker, and the `message` of error classes, which is one by definition."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call):
            text = _marked(node)
            if text is not None:
                yield node.lineno, text
        if isinstance(node, ast.ClassDef):
            yield from ((line, text) for line, text in _messages(node))


def _marked(call: ast.Call) -> str | None:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in _MARKERS:
        return None
    texts = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    return texts[-1] if texts else None


def _messages(made: ast.ClassDef) -> Iterator[tuple[int, str]]:
    for line in made.body:
        if not isinstance(line, ast.Assign) or not isinstance(line.value, ast.Constant):
            continue
        names = [target.id for target in line.targets if isinstance(target, ast.Name)]
        if names == ["message"] and isinstance(line.value.value, str):
            yield line.lineno, line.value.value


def missing() -> dict[Msgid, str]:
    """What is said somewhere and has no French yet."""
    whole = merge()
    return {
        msgid: place
        for msgid, place in msgids().items()
        if (msgid[0] if isinstance(msgid, tuple) else msgid) not in whole
    }


if __name__ == "__main__":
    untranslated = missing()
    for text, place in untranslated.items():
        print(f"{place}: {text!r}")
    sys.exit(1 if untranslated else 0)
