"""Console pages about money: the journal, both ways of a euro, the proof, partners."""

from datetime import datetime

from fastapi.testclient import TestClient
from sqlalchemy import text
from sqlalchemy.orm import Session

from flowlink.kernel import ids
from flowlink.tracking.ids import CONVERSION
from tests.factories import Person, make_partner
from tests.insights.makers import World, read, withdraw


def test_the_journal_is_found_by_what_one_holds_in_hand(
    client: TestClient, operator: Person, world: World, session: Session, now: datetime
) -> None:
    made = withdraw(session, world.ada.partner_id, "20.00", now=now)
    sale, gone = f"conversion:{world.conversion.id}:1", f"withdrawal:{made.id}:requested"

    for query, found, other in [
        (ids.public(CONVERSION, world.conversion.id), sale, gone),
        (ids.public("pay", made.id), gone, sale),
        (f"conversion:{world.conversion.id}", sale, gone),
        (ids.public("par", world.ada.partner_id), sale, ""),
    ]:
        page = read(client, f"/admin/ledger?q={query}")
        assert (found in page, other != "" and other in page) == (True, False), query
    assert sale not in read(client, "/admin/ledger?kind=withdrawal")
    assert "No entries" in read(client, "/admin/ledger?q=cnv_nonsense")
    assert "No entries" in read(client, "/admin/ledger?q=%25")


def test_the_journal_pages_to_its_end(
    client: TestClient, session: Session, operator: Person, now: datetime
) -> None:
    ada = make_partner(session, available="510.00")
    for _ in range(51):
        withdraw(session, ada.partner_id, "10.00", now=now)

    first = read(client, "/admin/ledger?kind=withdrawal")
    cursor = first.split("cursor=")[1].split('"')[0].split("&")[0]
    second = read(client, f"/admin/ledger?kind=withdrawal&cursor={cursor}")

    assert (first.count("/admin/ledger/ent_"), second.count("/admin/ledger/ent_")) == (50, 1)


def test_an_entry_shows_both_ways_of_its_euro(
    client: TestClient, operator: Person, world: World
) -> None:
    listed = read(client, "/admin/ledger?kind=conversion")
    entry = listed.split('href="/admin/ledger/ent_')[1].split('"')[0]

    page = read(client, f"/admin/ledger/ent_{entry}")

    for word in ("€42.00", "€18.00", "€40.00", "Owed by networks", "Our revenue", world.ada.email):
        assert word in page, word
    assert f"/admin/partners/{ids.public('par', world.ada.partner_id)}" in page
    assert "/admin/postbacks/pb_" in page
    assert world.shop.link.code in page


def test_the_checks_name_what_is_wrong(
    client: TestClient, session: Session, operator: Person, world: World
) -> None:
    assert "The books balance" in read(client, "/admin/checks")

    session.execute(text("UPDATE payouts_reserve_lot SET remaining_micro = remaining_micro + 1"))

    page = read(client, "/admin/checks")
    assert ("The books balance" in page, "problem" in page) == (False, True)


def test_a_partner_is_found_and_shown_whole(
    client: TestClient, operator: Person, world: World
) -> None:
    page = read(client, f"/admin/partners?q={world.ada.email[:12]}")
    path = f"/admin/partners/{ids.public('par', world.ada.partner_id)}"
    assert path in page
    assert "No partners" in read(client, "/admin/partners?q=nobody-like-this")
    assert "No partners" in read(client, "/admin/partners?status=closed")

    page = read(client, path)

    for word in (world.ada.email, "€42.00", "€18.00", "€60.00", world.shop.link.code):
        assert word in page, word
