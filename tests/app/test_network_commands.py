"""Networks from the command line."""

from collections.abc import Iterator

import pytest

from flowlink.app.cli import parser
from flowlink.kernel import db, settings
from flowlink.tracking import networks


def test_presets_are_listed_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert parser.run(["network", "presets"]) == 0

    listed = capsys.readouterr().out
    assert ("affise" in listed, "https://help-center.affise.com" in listed) == (True, True)


@pytest.fixture
def own_settings() -> Iterator[None]:
    """A command reads settings of its own; other tests go on with theirs."""
    before = settings.current()
    yield
    settings.use(before)


def test_a_network_is_added_from_a_preset(
    database: str,
    own_settings: None,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", database)

    assert parser.run(["network", "add", "affise", "--name", "acme"]) == 0

    assert "/aff/postback?network=acme&key=" in capsys.readouterr().out
    db.connect(database)
    with db.read() as session:
        assert networks.named(session, "acme").preset == "affise"
    assert parser.run(["network", "add", "nowhere"]) == 1
