"""A team buys with a browser: from our page to Stripe's and back, and what is shown meanwhile."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from flowlink.billing.fakestripe.server import deliver
from flowlink.identity import service as identity
from flowlink.identity.deps import cookie_name
from flowlink.kernel import clock, db
from tests.billing.stripes import Till, till
from tests.conftest import Live
from tests.factories import Person, make_operator, make_person
from tests.flows.browsing import DESKTOP, PHONE, Tab, browser, tab
from tests.flows.people import eventually
from tests.teams.makers import make_team


@pytest.fixture(scope="module")
def started() -> Iterator[Browser]:
    with browser() as running:
        yield running


@pytest.fixture
def shop(live: Live) -> Iterator[Till]:
    with till(base_url=live.url) as opened:
        yield opened


def sign_in(made: Tab, person: Person) -> None:
    now = clock.now()
    with db.write() as session:
        token = identity.make_link(session, email=person.email, now=now, from_cli=True)
        opened = identity.consume_link(session, token=token, now=now)
    cookie = {"name": cookie_name(), "value": opened.session_token, "url": made.url}
    made.page.context.add_cookies([cookie])  # type: ignore[list-item]


@pytest.mark.timeout(900)
@pytest.mark.parametrize(("width", "lang"), [("phone", "fr-FR"), ("desktop", "en-GB")])
def test_a_team_goes_pro_on_stripes_page(
    live: Live, shop: Till, started: Browser, width: str, lang: str
) -> None:
    with db.write() as session:
        owner, staff = make_person(session), make_operator(session)
        make_team(session, owner)
    english = lang == "en-GB"
    viewport = PHONE if width == "phone" else DESKTOP
    with tab(started, live.url, viewport=viewport, locale=lang) as made:
        sign_in(made, owner)
        made.open("/teams/acme/billing/plan?plan=pro")
        made.shows("test mode" if english else "mode test")
        made.press("Pay €9.00" if english else "Payer 9,00 €")
        made.page.wait_for_url(f"{shop.url}/**")
        made.page.get_by_label("Card" if english else "Carte").select_option("3155")
        made.press("Pay €9.00" if english else "Payer 9,00 €")
        made.press("Yes, it is me" if english else "Oui, c\u2019est moi")
        made.page.wait_for_url(f"{live.url}/teams/acme/billing")
        made.sound()

        assert deliver(shop.fake, f"{live.url}/webhooks/stripe") == 2
        eventually(lambda: _paid(made, "Pro"))
        made.open("/teams/acme/billing")
        made.shows("Stripe")
        made.page.goto(f"{shop.url}/?lang={lang[:2]}")
        made.sound()
    with tab(started, live.url, viewport=viewport, locale=lang) as made:
        sign_in(made, staff)
        made.open("/admin/payments")
        made.shows(f"{live.url}/webhooks/stripe")


def _paid(made: Tab, what: str) -> str | None:
    made.page.reload()
    return what if made.page.locator("strong", has_text=what).count() else None
