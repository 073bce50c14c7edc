"""One person, one address, however it is typed; what is no address is refused."""

import pytest
from hypothesis import given, strategies as st

from flowlink.identity.addresses import BadEmail, normalize


@pytest.mark.parametrize(
    ("typed", "known_as"),
    [
        ("ada@example.org", "ada@example.org"),
        ("  Ada@EXAMPLE.org\r\n", "ada@example.org"),
        ("ada+tag@example.org", "ada+tag@example.org"),
        ("operator@localhost", "operator@localhost"),
        ("ada@Partner.TEST", "ada@partner.test"),
        ("jose\u0301@example.fr", "josé@example.fr"),
        ("ada@exämple.fr", "ada@exämple.fr"),
        ("ada@xn--exmple-cua.fr", "ada@exämple.fr"),
        ("ПРИМЕР@пример.рф", "пример@пример.рф"),
    ],
)
def test_an_address_has_one_form(typed: str, known_as: str) -> None:
    assert normalize(typed) == known_as


@pytest.mark.parametrize(
    "typed",
    [
        "",
        "   ",
        "@",
        "ada",
        "ada@",
        "ada@gmail",
        "@example.org",
        "a b@example.org",
        "ada@example.org,eve@example.org",
        "ada@example.org;eve@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        "ada@example.org\nX: y",
        "\x00ada@example.org",
        "ada@exa\x00mple.org",
        "Ada <ada@example.org>",
        "<ada@example.org>",
        "ada@eve@localhost",
        "ada@[127.0.0.1]",
        '"ada\\"@x"@example.org',
        "ada..lovelace@example.org",
        "ada@example..org",
        "ada@.test",
        "ada@-example.org",
        "ada@example.org.",
        pytest.param("a" * 65 + "@example.org", id="long local part"),
        pytest.param("a" * 250 + "@example.org", id="long"),
        pytest.param("ada@" + "a" * 1_000_000 + ".org", id="huge"),
        "ada@\u202eexample.org",
        "\ud800@example.org",
    ],
)
def test_what_is_no_address_is_refused(typed: str) -> None:
    with pytest.raises(BadEmail):
        normalize(typed)


@given(st.text(max_size=40), st.sampled_from(["@example.org", "@localhost", "@exämple.fr", ""]))
def test_the_form_is_final_and_fits_on_a_line(local: str, rest: str) -> None:
    try:
        once = normalize(local + rest)
    except BadEmail:
        return

    assert normalize(once) == once
    assert once.isprintable()
    assert once.count("@") == 1
    assert " " not in once
