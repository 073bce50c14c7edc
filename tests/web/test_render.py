"""Templates: all compile, the gallery draws every macro, nothing undefined slips through."""

import re
from pathlib import Path
from types import SimpleNamespace

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient
from jinja2 import UndefinedError
from markupsafe import Markup

from flowlink.web import i18n, nav, render, tables

PACKAGE = Path(render.__file__).parent.parent
TEMPLATES = sorted(
    str(path.relative_to(root))
    if root.parent.name == "web"
    else f"{root.parent.name}/{path.relative_to(root)}"
    for root in PACKAGE.glob("*/templates")
    for path in root.rglob("*")
    if path.is_file()
)
MACROS = sorted(
    path.stem
    for path in (PACKAGE / "web/templates/ui").glob("*.html")
    if "{% macro" in path.read_text() and not path.name.startswith("_")
)


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
@pytest.mark.parametrize("name", TEMPLATES)
def test_every_template_compiles(lang: str, name: str) -> None:
    assert render.environment(lang).get_template(name) is not None


@pytest.mark.parametrize("macro", MACROS)
def test_the_gallery_shows_every_macro(macro: str) -> None:
    folder = PACKAGE / "web/templates/ui"
    shown = "".join(path.read_text() for path in folder.glob("gallery*.html"))
    used = "".join(path.read_text() for path in folder.glob("[!g]*.html"))

    assert f'"ui/{macro}.html"' in shown + used


@pytest.mark.parametrize("lang", i18n.LANGUAGES)
@pytest.mark.parametrize("path", ["/ui", "/ui/focus", "/ui/hero"])
def test_the_gallery_renders_in_each_language(browser: TestClient, path: str, lang: str) -> None:
    answer = browser.get(f"{path}?lang={lang}")

    assert answer.status_code == 200
    assert f'<html lang="{lang}"' in answer.text
    assert not re.search(r"\son\w+=|\sstyle=", answer.text)
    ids = re.findall(r'\sid="([^"]+)"', answer.text)
    assert sorted(ids) == sorted(set(ids))


def test_what_is_not_given_is_an_error_and_not_an_empty_place() -> None:
    with pytest.raises(UndefinedError):
        render.environment("fr").from_string("{{ nobody.knows }}").render()


def test_what_people_typed_is_never_code() -> None:
    template = '{% from "ui/card.html" import card %}{% call card(name) %}{{ name }}{% endcall %}'

    page = render.environment("fr").from_string(template).render(name="<script>")

    assert "<script>" not in page
    assert page.count("&lt;script&gt;") == 2


def test_cells_are_told_their_columns() -> None:
    row = Markup('<tr><td class="x">a</td>\n<td>b</td></tr>')

    told = tables.label_cells(row, ["What", ('<Sum> "€"', "num")])

    assert 'data-label="What" data-kind="" class="x"' in told
    assert 'data-label="&lt;Sum&gt; &#34;€&#34;" data-kind="num">b' in told


@pytest.mark.parametrize(
    ("viewer", "seen"),
    [
        (None, {"visitor"}),
        (SimpleNamespace(is_operator=False, partner_id="par"), {"partner", "user"}),
        (SimpleNamespace(is_operator=True, partner_id=None), {"operator", "user"}),
        (SimpleNamespace(is_operator=True, partner_id="par"), {"operator", "partner", "user"}),
    ],
)
def test_each_reader_has_their_own_sections(viewer: object, seen: set[str]) -> None:
    assert nav.audiences(viewer) == seen


def test_a_section_without_its_page_is_not_shown(browser: TestClient) -> None:
    assert "/partners/leaderboard" not in browser.get("/ui").text


def test_the_product_has_every_section_of_the_navigation(app: FastAPI) -> None:
    assert nav._paths(app) == {item.href for item in nav._ITEMS}
