"""Where a visitor is sent: targets first, then weights, never to a host that is not allowed."""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy.orm import Session

from flowlink.kernel import settings
from flowlink.tracking import clicks, countries, devices, link_edits, routing, service
from flowlink.tracking.clicks import Visit
from flowlink.tracking.destinations import HostNotAllowed
from flowlink.tracking.devices import Device
from flowlink.tracking.ids import LinkId
from flowlink.tracking.models import Link, Reason
from flowlink.tracking.routing import Routing, Target, Weighted
from flowlink.tracking.wishes import Wishes
from tests.conftest import test_settings
from tests.tracking import geoip
from tests.tracking.makers import BROWSER, Shop, make_partner, rows

PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15 "
    "(KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)
AGENTS = {
    BROWSER: Device.DESKTOP,
    PHONE: Device.PHONE,
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/131.0 Mobile Safari/537.36": Device.PHONE,
    "Mozilla/5.0 (Linux; Android 14; SM-X710) Chrome/131.0 Safari/537.36": Device.TABLET,
    "Mozilla/5.0 (iPad; CPU OS 17_5 like Mac OS X) Mobile/15E148": Device.TABLET,
    "Mozilla/5.0 (SMART-TV; Linux; Tizen 6.0) TV Safari/537.36": Device.TELEVISION,
    "Mozilla/5.0 (PlayStation; PlayStation 5/8.00) AppleWebKit/605.1.15": Device.TELEVISION,
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) Version/18.1": Device.DESKTOP,
    "Googlebot/2.1 (+http://www.google.com/bot.html)": Device.BOT,
    "": Device.BOT,
    "SomethingElse/1.0": Device.OTHER,
}


@pytest.fixture
def known_countries(tmp_path: Path) -> Iterator[None]:
    file = geoip.write(tmp_path / "c.mmdb", {"203.0.113.0/24": "FR", "198.51.100.0/24": "DE"})
    before = settings.current()
    settings.use(test_settings(geoip_db=str(file)))
    yield
    settings.use(before)


def route(session: Session, shop: Shop, wanted: Routing, now: datetime) -> Link:
    link = link_edits.edit(
        session,
        link_id=LinkId(shop.link.id),
        partner_id=shop.partner_id,
        wished=Wishes(routing=wanted),
        now=now,
    )
    session.flush()
    return link


def sent(session: Session, link: Link, at: datetime, address: str, agent: str) -> str:
    visit = Visit(link.code, at, address, agent, "", Reason.VALID)
    (stored,) = clicks.store(session, visits=[visit])
    assert stored is not None
    return stored.destination.rpartition("/")[2]


@pytest.mark.parametrize(("agent", "device"), AGENTS.items())
def test_a_user_agent_speaks_of_a_device(agent: str, device: Device) -> None:
    assert devices.device(agent) is device


def test_countries_are_kept_as_numbers() -> None:
    codes = ["FR", "DE", "AA", "ZZ"]

    assert [countries.code(countries.number(code)) for code in codes] == codes
    assert [countries.number(code) for code in ("", "F", "1A", "FRA", "ÀÉ")] == [0] * 5


def test_without_a_database_no_country_is_known() -> None:
    assert countries.of("203.0.113.9") == countries.UNKNOWN
    assert not countries.available()


def test_a_database_that_cannot_be_read_is_as_none(tmp_path: Path) -> None:
    broken = tmp_path / "broken.mmdb"
    broken.write_bytes(b"not a database")
    before = settings.current()
    settings.use(test_settings(geoip_db=str(broken)))

    assert countries.of("203.0.113.9") == countries.UNKNOWN

    settings.use(before)


def test_a_file_with_damaged_pages_tells_no_country(tmp_path: Path) -> None:
    file = geoip.write(tmp_path / "damaged.mmdb", {"203.0.113.0/24": "FR"})
    content = bytearray(file.read_bytes())
    at = content.index(b"country")
    content[at - 2] = 0xFF  # what its records begin with
    file.write_bytes(content)
    before = settings.current()
    settings.use(test_settings(geoip_db=str(file)))

    assert countries.of("203.0.113.9") == countries.UNKNOWN

    settings.use(before)


def test_the_target_that_names_more_wins(
    session: Session, shop: Shop, now: datetime, known_countries: None
) -> None:
    link = route(
        session,
        shop,
        Routing(
            targets=[
                Target("{base_url}/phone", Device.PHONE),
                Target("{base_url}/france", country="fr"),
                Target("{base_url}/both", Device.PHONE, "FR"),
            ]
        ),
        now,
    )

    places = [
        sent(session, link, now, "203.0.113.9", PHONE),
        sent(session, link, now, "203.0.113.9", BROWSER),
        sent(session, link, now, "198.51.100.9", PHONE),
        sent(session, link, now, "198.51.100.9", BROWSER),
    ]

    assert places == ["both", "france", "phone", "go"]
    kept = rows(session, "SELECT country FROM tracking_click ORDER BY id")
    assert [countries.code(int(str(one[0]))) for one in kept] == ["FR", "FR", "DE", "DE"]


def test_weights_share_visitors_out_and_can_be_told_again() -> None:
    kept = routing.kept(Routing(weighted=[Weighted("a", 3), Weighted("b", 1)]))

    def chosen(number: int) -> str:
        return routing.choose(
            kept, destination="own", device=Device.PHONE, country=0, number=number
        )

    drawn = Counter(chosen(number) for number in range(4000))

    assert set(drawn) == {"a", "b"}
    assert 2850 < drawn["a"] < 3150
    assert [chosen(n) for n in range(50)] == [chosen(n) for n in range(50)]


@pytest.mark.parametrize(
    ("wanted", "error"),
    [
        (Routing(targets=[Target("https://evil.example/", Device.PHONE)]), HostNotAllowed),
        (
            Routing(weighted=[Weighted("{base_url}/a", 1), Weighted("https://evil.example/", 1)]),
            HostNotAllowed,
        ),
        (Routing(targets=[Target("{base_url}/a")]), routing.BadTarget),
        (Routing(targets=[Target("{base_url}/a", Device.BOT)]), routing.BadTarget),
        (Routing(targets=[Target("{base_url}/a", country="F1")]), routing.BadTarget),
        (Routing(weighted=[Weighted("{base_url}/a", 1)]), routing.BadWeight),
        (Routing(weighted=[Weighted("{base_url}/a", 0)] * 2), routing.BadWeight),
        (Routing(targets=[Target("{base_url}/a", country="FR")] * 31), routing.TooManyTargets),
    ],
)
def test_what_is_not_allowed_changes_nothing(
    session: Session, shop: Shop, now: datetime, wanted: Routing, error: type[Exception]
) -> None:
    with pytest.raises(error):
        route(session, shop, wanted, now)

    session.expire_all()
    assert rows(session, "SELECT routing, destination FROM tracking_link") == [(None, None)]


def test_a_link_ends_when_it_should(session: Session, shop: Shop, now: datetime) -> None:
    end = now + timedelta(hours=1)
    wished = Wishes(expires_at=end)
    key = LinkId(shop.link.id)
    link_edits.edit(session, link_id=key, partner_id=shop.partner_id, wished=wished, now=now)
    session.flush()

    def visit(at: datetime) -> Visit:
        return Visit(shop.link.code, at, "203.0.113.9", BROWSER, "", Reason.VALID)

    before, after = clicks.store(session, visits=[visit(end - timedelta(seconds=1)), visit(end)])

    assert before is not None
    assert after is None
    assert rows(session, "SELECT reason, count FROM tracking_miss") == [("expired", 1)]


def test_only_its_owner_changes_a_link(session: Session, shop: Shop, now: datetime) -> None:
    stranger = make_partner(session, now=now)

    with pytest.raises(service.UnknownLink):
        link_edits.edit(
            session,
            link_id=LinkId(shop.link.id),
            partner_id=stranger,
            wished=Wishes(note="mine"),
            now=now,
        )

    assert rows(session, "SELECT note FROM tracking_link") == [("",)]
