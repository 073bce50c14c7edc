"""Who asks, behind proxies that we trust and claims that we do not."""

import pytest

from flowlink.identity import clients

TRUSTED = ("127.0.0.1", "::1", "10.0.0.0/8")


@pytest.mark.parametrize(
    ("peer", "forwarded", "found"),
    [
        ("198.51.100.7", "", "198.51.100.7"),
        ("198.51.100.7", "203.0.113.9", "198.51.100.7"),
        ("127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "6.6.6.6, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("::1", "2001:db8::1", "2001:db8::1"),
        ("::ffff:127.0.0.1", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.1", "10.1.2.3, 10.4.5.6", "10.1.2.3"),
        ("127.0.0.1", "not an address", "127.0.0.1"),
        ("127.0.0.1", "203.0.113.9, ", "127.0.0.1"),
        ("127.0.0.1", "'; DROP TABLE--, 203.0.113.9", "203.0.113.9"),
        ("testclient", "203.0.113.9", "testclient"),
        ("", "203.0.113.9", ""),
    ],
)
def test_only_trusted_proxies_speak_for_others(peer: str, forwarded: str, found: str) -> None:
    assert clients.client_ip(peer, forwarded, TRUSTED) == found


@pytest.mark.parametrize(
    ("ip", "network"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::ffff", "2001:db8:1:2::/64"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("testclient", "testclient"),
    ],
)
def test_limits_count_what_a_client_can_hardly_leave(ip: str, network: str) -> None:
    assert clients.network_of(ip) == network


WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/2010 Firefox/140.0", "Firefox, Linux"),
        (f"Mozilla/5.0 (iPhone; like Mac OS X) {WEBKIT} Version/19.0 Safari/1", "Safari, iPhone"),
        (f"Mozilla/5.0 (Windows NT 10.0) {WEBKIT} Chrome/140 Safari/1 Edg/140", "Edge, Windows"),
        (f"Mozilla/5.0 (Linux; Android 15) {WEBKIT} Chrome/140 Safari/1", "Chrome, Android"),
        ("curl/8.9.1", "curl"),
        ("", ""),
        ("<script>", ""),
    ],
)
def test_a_device_is_named_as_its_owner_knows_it(user_agent: str, name: str) -> None:
    assert clients.device(user_agent) == name
