"""Public ids: what goes out comes back, and nothing else does."""

from uuid import UUID

import pytest
from hypothesis import given, strategies as st

from flowlink.kernel import ids
from flowlink.kernel.errors import NotFound


@given(st.uuids())
def test_an_id_comes_back(key: UUID) -> None:
    text = ids.public("par", key)

    assert ids.parse("par", text) == key
    assert ids.parse("par", f" {text} ") == key


@pytest.mark.parametrize(
    "text",
    [
        "",
        "par_",
        "par",
        "lnk_00000000000000000000000000",
        "par_0000000000000000000000000",
        "par_0000000000000000000000000u",
        "par_z0000000000000000000000000",
        "par_" + "0" * 5000,
    ],
)
def test_what_is_no_id_names_nothing(text: str) -> None:
    with pytest.raises(NotFound):
        ids.parse("par", text)
