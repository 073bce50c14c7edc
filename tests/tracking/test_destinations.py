"""Destinations: what may be one, and the address that a visitor is sent to."""

import pytest
from hypothesis import given, strategies as st

from flowlink.tracking import destinations
from flowlink.tracking.destinations import BadDestination, HostNotAllowed

BASE = "http://flow.example:8000"
MACROS = {"click_id": "CID", "link": "abc", "partner": "par_1", "base_url": BASE}


def built(destination: str, query: str = "") -> str:
    kept = destinations.cleaned(destination, base_url=BASE)
    return destinations.build(kept, click_param="subid", macros=MACROS, visitor_query=query)


@pytest.mark.parametrize(
    ("destination", "query", "address"),
    [
        ("{base_url}/go", "", f"{BASE}/go?subid=CID"),
        ("{base_url}/go", "a=1&b=&c", f"{BASE}/go?a=1&b=&c&subid=CID"),
        ("https://s.example", "", "https://s.example?subid=CID"),
        ("https://s.example/?a=1#f", "a=2&b=2", "https://s.example/?a=1&b=2&subid=CID#f"),
        ("https://s.example/?subid=x&b=1", "", "https://s.example/?b=1&subid=CID"),
        ("https://s.example/{link}/{partner}", "", "https://s.example/abc/par_1?subid=CID"),
        ("https://s.example/t/{click_id}", "x=1", "https://s.example/t/CID?x=1"),
        ("https://s.example/?id={click_id}", "id=evil&subid=evil", "https://s.example/?id=CID"),
        ("https://s.example/{unknown}", "", "https://s.example/%7Bunknown%7D?subid=CID"),
        ("https://été.example/é", "", "https://xn--t-9fab.example/%C3%A9?subid=CID"),
        (
            "https://s.example/",
            "sub.id=1&sub_id=1&SUBID=2",
            "https://s.example/?sub.id=1&sub_id=1&subid=CID",
        ),
    ],
)
def test_the_address_is_the_destination_the_visitors_query_and_our_click_id(
    destination: str, query: str, address: str
) -> None:
    assert built(destination, query) == address


@pytest.mark.parametrize(
    "text",
    [
        "",
        "shop.example",
        "//shop.example",
        "/go",
        "javascript:alert(1)",
        "data:text/html,x",
        "ftp://shop.example/",
        "https://",
        "https://user@shop.example/",
        "https://shop.example\\@evil.example/",
        "https://shop.example/a b",
        "https://shop.example/\r\nset-cookie:x",
        "https://[::1",
        "https://shop.example:99999/",
        "https://sho%70.example/",
        "{base_url}@evil.example/",
        "https://{link}.example/",
        "https://shop.example/" + "x" * 2000,
    ],
)
def test_what_a_browser_could_read_otherwise_is_no_destination(text: str) -> None:
    with pytest.raises(BadDestination):
        destinations.cleaned(text, base_url=BASE)


@pytest.mark.parametrize(
    ("destination", "fits"),
    [
        ("https://shop.example/x", True),
        ("https://shop.example:443/x", True),
        ("https://shop.example:8443/x", False),
        ("https://www.shop.example/x", False),
        ("https://a.open.example/x", True),
        ("https://open.example/x", False),
        ("https://evilopen.example/x", False),
        ("http://local.example:81/", True),
    ],
)
def test_a_host_is_allowed_exactly(destination: str, fits: bool) -> None:  # noqa: FBT001
    allowed = ["shop.example", "*.open.example", "local.example:81"]
    try:
        destinations.check_host(destination, allowed=allowed, base_url=BASE)
    except HostNotAllowed:
        assert not fits
    else:
        assert fits


@given(st.text(max_size=200), st.text(max_size=200))
def test_no_query_leads_elsewhere_or_breaks_the_header(query: str, more: str) -> None:
    address = built("https://shop.example/p", f"{query}&{more}")

    assert address.startswith("https://shop.example/p?")
    assert address.endswith("subid=CID")
    assert address.isascii()
    assert address.isprintable()
    assert " " not in address
    assert "#" not in address
