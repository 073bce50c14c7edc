"""What a person typed, as what it means."""

import pytest
from fastapi.testclient import TestClient


@pytest.mark.parametrize(
    ("typed", "micro"),
    [("12.34", 12_340_000), ("12,34", 12_340_000), (" 5 ", 5_000_000), ("-20", -20_000_000)],
)
def test_an_amount_is_read_with_point_or_comma(program: TestClient, typed: str, micro: int) -> None:
    assert program.post("/pay", data={"amount": typed}).json()["micro"] == micro


@pytest.mark.parametrize("typed", ["1.001", "twenty", "1e3", "NaN", "10000000000"])
def test_what_is_no_amount_is_refused_with_its_reason(program: TestClient, typed: str) -> None:
    answer = program.post("/pay", data={"amount": typed})

    assert answer.status_code == 400
    assert answer.json()["detail"] == "Please enter an amount such as 12.34."
    assert program.app.state.writes == []  # type: ignore[attr-defined]


def test_letters_beyond_ascii_may_come_as_they_are(program: TestClient) -> None:
    form = {"content-type": "application/x-www-form-urlencoded"}
    bodies = ("amount=1&note=zoé@example.org", "amount=1&note=zo%C3%A9%40example.org")

    found = [
        program.post("/pay", content=body.encode(), headers=form).json()["note"] for body in bodies
    ]

    assert found == ["zoé@example.org"] * 2


@pytest.mark.parametrize(("sent", "agreed"), [({}, False), ({"agreed": "on"}, True)])
def test_an_unticked_box_is_simply_not_sent(
    program: TestClient, sent: dict[str, str], agreed: object
) -> None:
    assert program.post("/pay", data={"amount": "1"} | sent).json()["agreed"] is agreed


def test_fields_that_nobody_knows_are_ignored(program: TestClient) -> None:
    assert program.post("/pay", data={"amount": "1", "utm": "x"}).status_code == 200
