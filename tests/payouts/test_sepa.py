"""SEPA files: valid, deterministic, in the letters that banks take; TARGET's days."""

from datetime import UTC, date, datetime

import pytest
from lxml import etree

from flowlink.payouts import sepa, sepa_letters, xml_schemas

NAMES = {"p": "urn:iso:std:iso:20022:tech:xsd:pain.001.001.09"}


def make(count: int = 2, name: str = "Ada") -> bytes:
    return sepa.document(
        message_id="FL0000000000000000000000000A",
        made_at=datetime(2026, 11, 21, 9, 30, tzinfo=UTC),
        execute_on=date(2026, 11, 24),
        debtor=sepa.Debtor("Owner", "FR7630006000011234567890189", "AGRIFRPP"),
        transfers=[
            sepa.Transfer(f"PAY{n:026d}", 1_000 + n, name, "FR1420041010050500013M02606", "Text")
            for n in range(count)
        ],
    )


def test_counts_and_sums_are_those_of_the_lines() -> None:
    root = etree.fromstring(make(3))

    for place in ("GrpHdr", "PmtInf"):
        assert root.findtext(f".//p:{place}/p:NbOfTxs", namespaces=NAMES) == "3"
        assert root.findtext(f".//p:{place}/p:CtrlSum", namespaces=NAMES) == "30.03"
    assert root.findall(".//p:PstlAdr", namespaces=NAMES) == []


def test_the_same_run_makes_the_same_bytes() -> None:
    assert make() == make()


def test_it_is_checked_against_the_published_schema() -> None:
    broken = make().replace(b"<ChrgBr>SLEV</ChrgBr>", b"<ChrgBr>NONE</ChrgBr>")

    with pytest.raises(xml_schemas.BadXml, match="ChrgBr"):
        xml_schemas.check(xml_schemas.parse(broken), sepa.MESSAGE)


def test_without_a_bic_the_bank_finds_it_by_the_iban() -> None:
    body = sepa.document(
        message_id="M",
        made_at=datetime(2026, 11, 21, tzinfo=UTC),
        execute_on=date(2026, 11, 24),
        debtor=sepa.Debtor("Owner", "FR7630006000011234567890189", ""),
        transfers=[sepa.Transfer("E", 1, "A", "FR1420041010050500013M02606", "T")],
    )

    assert b"NOTPROVIDED" in body
    assert b">0.01<" in body


@pytest.mark.parametrize(
    ("typed", "sent"),
    [
        ("Zoë Ærø-Łukasz", "Zoe AEro-Lukasz"),
        ("A & B", "A + B"),
        ("<script>", ".script."),
        ("Ada\u2019s //odd// name/", "Ada's /odd/ name"),
        ("a///b////c", "a/b/c"),
        ("李明", "NOTPROVIDED"),
        ("😀 …", "NOTPROVIDED"),
        ("Γιώργος Ψαράς", "Giorgos PSaras"),
        ("Юлия Щерева-Джон й", "YUliya SHTereva-Dzhon y"),
        ("Þór Ħaż-Żabbar \u2013 “Groẞ”", "THor Haz-Zabbar - .GroSS."),
        ("   ", "NOTPROVIDED"),
        ("x" * 100, "x" * 70),
        ("ada@example.org", "ada(at)example.org"),
    ],
)
def test_names_are_in_letters_that_every_bank_takes(typed: str, sent: str) -> None:
    assert sepa_letters.plain(typed, 70) == sent


@pytest.mark.parametrize(
    ("day", "first"),
    [
        (date(2026, 11, 21), date(2026, 11, 23)),
        (date(2026, 12, 25), date(2026, 12, 28)),
        (date(2027, 1, 1), date(2027, 1, 4)),
        (date(2026, 4, 3), date(2026, 4, 7)),
        (date(2026, 5, 1), date(2026, 5, 4)),
        (date(2026, 11, 24), date(2026, 11, 24)),
    ],
)
def test_targets_closing_days_are_skipped(day: date, first: date) -> None:
    assert sepa.business_day(day) == first
