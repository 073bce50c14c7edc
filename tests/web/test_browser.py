"""The macro library in a real browser: sound for all readers, quiet in the console, alive."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
PHONE, DESKTOP = 390, 1280


@pytest.fixture
def page(chromium: Browser, gallery: str) -> Iterator[Page]:
    """A French reader's page whose console stays silent."""
    with chromium.new_context(
        base_url=gallery,
        locale="fr-FR",
        timezone_id="Asia/Tokyo",
        permissions=["clipboard-read", "clipboard-write"],
    ) as context:
        opened = context.new_page()
        said: list[str] = []
        opened.on("pageerror", lambda error: said.append(str(error)))
        opened.on("console", lambda line: said.append(line.text) if line.type == "error" else None)
        yield opened
        assert [line for line in said if "status of 400" not in line] == []


def violations(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found: dict[str, Any] = page.evaluate(f"axe.run({{runOnly: {RULES}}})")
    return [f"{one['id']}: {one['nodes'][0]['html']}" for one in found["violations"]]


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [PHONE, DESKTOP])
@pytest.mark.parametrize("path", ["/ui", "/ui/focus", "/ui/hero"])
def test_every_part_is_sound_for_all_readers(page: Page, path: str, width: int, theme: str) -> None:
    page.set_viewport_size({"width": width, "height": 844})
    page.goto(f"{path}?theme={theme}")

    assert violations(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_the_check_itself_sees_a_fault(page: Page) -> None:
    page.goto("/ui/focus")
    page.evaluate("document.documentElement.removeAttribute('lang')")

    assert violations(page) != []


def test_the_theme_changes_in_place_and_stays(page: Page) -> None:
    page.goto("/ui/focus?theme=light")
    page.goto("/ui")
    page.get_by_role("button", name="Thème").click()
    page.get_by_role("link", name="Sombre").click()

    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_times_are_shown_in_the_readers_zone(page: Page) -> None:
    page.goto("/ui")

    time = page.locator("time[data-local]").first
    expect(time).to_contain_text("17:10")
    expect(time).to_have_attribute("title", "21 nov. 2026, 08:10 UTC")


def test_the_copy_button_copies_and_says_so(page: Page) -> None:
    page.goto("/ui")
    page.get_by_role("button", name="Copier le lien").click()

    expect(page.locator("#spoken")).to_have_text("Copié")
    copied = page.evaluate("navigator.clipboard.readText()")
    assert copied == "https://flowlink.example/l/ada-7f3k"


def test_a_dialog_keeps_the_focus_and_closes_by_key_and_button(page: Page) -> None:
    page.goto("/ui")
    opener = page.get_by_role("button", name="Désactiver")
    dialog = page.get_by_role("dialog", name="Désactiver ce lien")

    opener.click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    opener.click()
    dialog.get_by_role("button", name="Annuler").click()
    expect(dialog).to_be_hidden()


def test_charts_are_drawn_and_have_their_table(page: Page) -> None:
    page.goto("/ui")

    expect(page.locator("#earned canvas")).to_be_visible()
    page.locator("#earned-table summary").click()
    expect(page.locator("#earned-table")).to_contain_text("8,06 €")


def test_a_refused_form_becomes_a_toast_and_keeps_what_was_typed(page: Page) -> None:
    page.goto("/ui/refused")
    page.get_by_label("Montant").fill("7,50")
    page.get_by_role("button", name="Demander").click()

    expect(page.locator("#toasts [role=alert]")).to_contain_text("pas possible")
    expect(page.get_by_label("Montant")).to_have_value("7,50")
    assert page.url.endswith("/ui/refused")
    page.get_by_role("button", name="Fermer").click()
    expect(page.locator("#toasts [role=alert]")).to_have_count(0)


def test_the_phone_menu_opens_and_holds_language_and_theme(page: Page) -> None:
    page.set_viewport_size({"width": PHONE, "height": 844})
    page.goto("/ui")
    page.get_by_role("button", name="Menu").click()

    menu = page.get_by_role("dialog", name="Menu")
    expect(menu.get_by_role("link", name="English")).to_be_visible()
    expect(menu.get_by_role("link", name="Sombre")).to_be_visible()


def test_without_scripts_all_of_it_still_works(chromium: Browser, gallery: str) -> None:
    with chromium.new_context(
        base_url=gallery, java_script_enabled=False, locale="fr-FR"
    ) as context:
        page = context.new_page()
        page.goto("/ui")
        page.get_by_role("button", name="Désactiver").click()
        expect(page.get_by_role("dialog", name="Désactiver ce lien")).to_be_visible()
        page.keyboard.press("Escape")
        page.get_by_role("button", name="Thème").click()
        page.get_by_role("link", name="Sombre").click()
        expect(page.locator("html")).to_have_attribute("data-theme", "dark")
        page.goto("/ui/refused")
        page.get_by_role("button", name="Demander").click()
        expect(page.get_by_role("heading", name="Cela n\u2019a pas fonctionné")).to_be_visible()
        page.get_by_role("link", name="Revenir à la page").click()
        expect(page.get_by_role("button", name="Demander")).to_be_visible()
