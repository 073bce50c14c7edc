"""Where clicks came from: told apart for a day, known to nobody afterwards."""

import pytest

from flowlink.tracking import origins

SALT, OTHER = b"today" * 4, b"tomorrow" * 4


def test_an_address_is_the_same_all_day_and_another_one_tomorrow() -> None:
    first, again = (origins.of("81.2.69.142", SALT) for _ in range(2))

    assert first == again
    assert origins.of("81.2.69.142", OTHER) != first
    assert 0 < first < 1 << 63
    assert origins.is_known(first)


def test_neighbors_share_their_network_and_nothing_else() -> None:
    one, two, far = (origins.of(ip, SALT) for ip in ("81.2.69.142", "81.2.69.7", "81.2.70.142"))

    assert origins.network(one) == origins.network(two) != origins.network(far)
    assert origins.address(one) != origins.address(two)
    assert origins.network_on("81.2.69.200", SALT) == origins.network(one)


@pytest.mark.parametrize(
    ("ip", "neighborhood"),
    [
        ("81.2.69.142", "81.2.69.0/24"),
        ("2a01:cb00:1:2::/64", "2a01:cb00:1::/48"),
        ("::ffff:81.2.69.142", "81.2.69.0/24"),
        ("nonsense", "nonsense"),
    ],
)
def test_neighborhoods(ip: str, neighborhood: str) -> None:
    assert origins.neighborhood(ip) == neighborhood


@pytest.mark.parametrize("ip", ["127.0.0.1", "10.1.2.3", "192.168.1.1", "203.0.113.9", "::1", ""])
def test_what_is_not_public_says_nothing(ip: str) -> None:
    assert origins.of(ip, SALT) == 0
    assert not origins.is_known(origins.of(ip, SALT, paid_search=True))


@pytest.mark.parametrize(
    ("ip", "hosted"),
    [("5.9.1.2", True), ("2a01:4f8:1::/64", True), ("90.1.2.3", False), ("2a01:cb00::/64", False)],
)
def test_hosting_companies_are_known(ip: str, hosted: bool) -> None:  # noqa: FBT001
    assert origins.in_datacenter(ip) is hosted
    assert origins.from_datacenter(origins.of(ip, SALT)) is hosted


@pytest.mark.parametrize(
    ("query", "paid"),
    [
        (b"gclid=abc", True),
        (b"a=1&msclkid=z", True),
        (b"GAD_SOURCE=1", False),
        (b"gad_source=1", True),
        (b"gclid=", False),
        (b"subid=gclid", False),
        (b"", False),
        (b"id=1", False),
    ],
)
def test_paid_visits_are_known_by_their_marks(query: bytes, paid: bool) -> None:  # noqa: FBT001
    assert origins.paid_search(query) is paid
    assert origins.from_paid_search(origins.of("81.2.69.1", SALT, paid_search=paid)) is paid
