"""One euro's whole way over HTTP, from a first visit to the bank and back through the ledger."""

import re
from urllib.parse import urlencode

from flowlink.app import checks
from flowlink.kernel import db
from tests.conftest import Live
from tests.flows.people import Person, eventually, mailed_link, operator, parameter, visitor

IBAN = "FR1420041010050500013M02606"


def join(live: Live, staff: Person, address: str) -> Person:
    """A visitor becomes a partner: mail, button, terms."""
    ada = visitor(live.url)
    ada.read("/partners")
    assert ada.browser.post("/partner/magic", data={"email": address}).status_code == 200
    link = mailed_link(staff, address)
    assert "<form" in ada.read(link)
    ada.send(link)
    assert ada.send("/partners/join") == "/partner/portal"
    return ada


def click(live: Live, code: str) -> str:
    """A visitor follows the link; returns the click id that the shop receives."""
    someone = visitor(live.url)
    answer = someone.browser.get(f"/l/{code}")
    assert (answer.status_code, answer.headers["cache-control"]) == (302, "no-store")
    assert someone.browser.get(answer.headers["location"]).status_code == 200
    return parameter(answer.headers["location"], "subid")


def postback(live: Live, staff: Person, **fields: str) -> dict[str, str]:
    """The network reports, at the address that its page in the console shows."""
    page = staff.read("/admin/networks/direct")
    key = re.search(r"key=([\w-]+)", page)
    assert key
    query = urlencode({"network": "direct", "key": key.group(1)} | fields)
    answer = visitor(live.url).browser.get(f"/aff/postback?{query}")
    assert answer.status_code == 200
    found: dict[str, str] = answer.json()
    return found


def balance(ada: Person) -> dict[str, str]:
    shown = ada.browser.get("/api/partner/balance").json()
    kinds = ("pending", "reserved", "available", "withdrawing", "paid")
    return {kind: shown[kind]["amount"] for kind in kinds}


def test_one_euro_goes_all_the_way(live: Live) -> None:
    staff = operator(live.url)
    ada = join(live, staff, "ada@example.org")

    assert ada.send("/partner/links", slug="ada-finds") == "/partner/portal"
    subid = click(live, "ada-finds")
    sale = {"subid": subid, "amount": "500.00", "currency": "EUR", "txn_id": "order-1"}
    assert postback(live, staff, status="pending", **sale) == {"result": "ok"}
    eventually(lambda: "there" if balance(ada)["pending"] == "300.00" else None)
    assert postback(live, staff, status="approved", **sale) == {"result": "ok"}
    again = postback(live, staff, status="approved", **sale)
    assert again["result"] == "duplicate"
    eventually(lambda: "there" if balance(ada)["available"] != "0.00" else None)
    assert (balance(ada)["available"], balance(ada)["reserved"]) == ("210.00", "90.00")
    assert balance(ada)["pending"] == "0.00"

    form = {"method": "bank", "details": IBAN}
    assert "€210.00" in ada.refused("/partners/withdraw", amount="210.01", **form)
    assert ada.send("/partners/withdraw", amount="200.00", **form) == "/partners/earnings"
    assert (balance(ada)["available"], balance(ada)["withdrawing"]) == ("10.00", "200.00")

    pay(staff)

    assert (balance(ada)["withdrawing"], balance(ada)["paid"]) == ("0.00", "200.00")
    follow(ada, staff)
    assert "The books balance" in staff.read("/admin/checks")
    with db.read() as session:
        assert checks.problems(session) == []


def pay(staff: Person) -> None:
    """The operator approves what waits, pays it, and writes down the reference."""
    waiting = staff.read("/ops/payouts/pending")
    found = re.search(r"/ops/payouts/(pay_\w+)/approve", waiting)
    assert found
    withdrawal = found.group(1)
    staff.send(f"/ops/payouts/{withdrawal}/approve")
    staff.send(f"/admin/pay?id={withdrawal}", reference="SEPA-2026-001")
    assert "SEPA-2026-001" in staff.read("/admin/payouts")


def follow(ada: Person, staff: Person) -> None:
    """Both ways of the euro: as its partner reads it, and as the operator does."""
    lines = ada.read("/partners/earnings/lines")
    trails = set(re.findall(r"/partners/trail/ent_\w+", lines))
    pages = [ada.read(trail) for trail in trails]
    assert any("It brought you €300.00." in page for page in pages)
    assert any("SEPA-2026-001" in page for page in pages)

    for entry in re.findall(r'href="(/admin/ledger/ent_\w+)"', staff.read("/admin/ledger")):
        page = staff.read(entry)
        assert "ada@example.org" in page
    summary = staff.browser.get("/api/admin/summary").json()
    figures = ("clicks_7d", "conv_7d", "rev_7d", "available", "reserved", "paid")
    assert [summary[name] for name in figures] == [1, 1, 500.0, 10.0, 90.0, 200.0]


def test_a_sale_taken_back_takes_its_money_back(live: Live) -> None:
    staff = operator(live.url)
    ada = join(live, staff, "bea@example.org")
    ada.send("/partner/links", slug="bea-finds")
    sale = {"subid": click(live, "bea-finds"), "amount": "50.00", "txn_id": "order-2"}
    postback(live, staff, status="approved", **sale)
    eventually(lambda: "there" if balance(ada)["available"] == "21.00" else None)

    assert postback(live, staff, status="reversed", **sale) == {"result": "ok"}

    eventually(lambda: "gone" if balance(ada)["available"] == "0.00" else None)
    assert balance(ada)["reserved"] == "0.00"
    assert "This sale was taken back" in ada.read(
        re.findall(r"/partners/trail/cnv_\w+", ada.read("/partners/sales"))[0]
    )
    with db.read() as session:
        assert checks.problems(session) == []
