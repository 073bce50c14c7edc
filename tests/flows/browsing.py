"""A real browser, and what is checked on every page that it opens."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from tests.patience import LONG_S

CHROMIUM = "/usr/bin/chromium"
AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1280, "height": 860}
RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
CHECK = """async (rules) => {
  const found = await axe.run(document, {runOnly: rules, resultTypes: ["violations"]});
  return found.violations.map(v => `${v.id}: ${v.nodes.map(n => n.target.join(" ")).join(", ")}`);
}"""
WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Tab:
    """One page of the browser; every page it shows is sound, or the test is red."""

    page: Page
    url: str
    complaints: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        answer = self.page.goto(self.url + path, wait_until="load")
        assert answer is not None
        assert answer.status == 200, (path, answer.status)
        self.sound()

    def sound(self) -> None:
        """Nothing in the console, nothing wider than the window, nothing that axe finds."""
        self.page.wait_for_load_state("networkidle")
        place = self.page.url.removeprefix(self.url)
        assert self.complaints == [], place
        assert self.page.evaluate(WIDER) <= 0, f"{place} is wider than its window"
        self.page.evaluate(_axe())
        found: list[str] = self.page.evaluate(CHECK, RULES)
        assert not found, "\n".join([place, *found])

    def press(self, name: str) -> None:
        """Press the button of this name, and see what comes."""
        self.page.get_by_role("button", name=name, exact=True).first.click()
        self.page.wait_for_load_state("networkidle")
        self.sound()

    def shows(self, text: str) -> None:
        self.page.get_by_text(text).first.wait_for(timeout=1000 * LONG_S)


@contextmanager
def browser() -> Generator[Browser]:
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@contextmanager
def tab(started: Browser, url: str, **settings: Any) -> Generator[Tab]:
    """A tab of a person of their own: no cookie is shared. `settings` are Playwright's."""
    context = started.new_context(reduced_motion="reduce", **settings)
    made = Tab(context.new_page(), url)
    made.page.on("console", lambda said: _note(made, said.type, said.text))
    made.page.on("pageerror", lambda error: made.complaints.append(str(error)))
    yield made
    context.close()


def _note(made: Tab, kind: str, text: str) -> None:
    if kind in {"error", "warning"}:
        made.complaints.append(text)


@cache
def _axe() -> str:
    return AXE.read_text()
