"""Files of other shorteners: their columns, and the codes that stay."""

from datetime import datetime

import pytest
from sqlalchemy.orm import Session

from flowlink.kernel.errors import FlowlinkError
from flowlink.tracking import bulk, importers, service, table_text
from flowlink.tracking.importers import Format
from tests.tracking.makers import Shop, make_partner, rows

FILES = {
    Format.BITLY: (
        "Link,Custom Link,Destination URL,Title,Tags,Created\n"
        "https://bit.ly/3xYz12,,http://testserver/a,First,a;b,2024-01-02\n"
        "https://bit.ly/4abc99,https://go.example.org/Summer,http://testserver/b,,,2024-01-03\n"
    ),
    Format.SHLINK: (
        "createdAt,domain,shortCode,shortUrl,longUrl,title,tags,visits\n"
        "2024-01-02T00:00:00+00:00,s.example,3xYz12,https://s.example/3xYz12,"
        "http://testserver/a,First,a|b,7\n"
        "2024-01-03T00:00:00+00:00,s.example,Summer,https://s.example/Summer,"
        "http://testserver/b,,,0\n"
    ),
    Format.KUTT: (
        "address,target,description,visit_count,created_at\n"
        "3xYz12,http://testserver/a,First,7,2024-01-02\n"
        "Summer,http://testserver/b,,0,2024-01-03\n"
    ),
    Format.YOURLS: (
        "source,target,hits\r\n/3xYz12/,http://testserver/a,7\r\n/Summer/,http://testserver/b,0\r\n"
    ),
    Format.DUB: (
        '"Short link","Destination URL","Clicks","Created at","Title","Tags"\n'
        '"https://dub.sh/3xYz12","http://testserver/a","7","2024-01-02","First","a, b"\n'
        '"https://dub.sh/Summer","http://testserver/b","0","2024-01-03","",""\n'
    ),
}


@pytest.mark.parametrize("form", FILES)
def test_codes_of_other_shorteners_stay(
    session: Session, shop: Shop, now: datetime, form: Format
) -> None:
    found = importers.read(FILES[form], form=form)

    made = bulk.create(session, partner_id=shop.partner_id, rows=found, now=now)

    assert [one.address for one in made] == [
        "http://testserver/l/3xYz12",
        "http://testserver/l/Summer",
    ]
    first = made[0].link
    assert first is not None
    assert first.destination == "http://testserver/a"
    assert first.note == ("" if form == Format.YOURLS else "First")
    tagged = form in {Format.BITLY, Format.SHLINK, Format.DUB}
    assert first.tags == (["a", "b"] if tagged else [])


def test_the_same_file_twice_makes_the_same_links(
    session: Session, shop: Shop, now: datetime
) -> None:
    found = importers.read(FILES[Format.SHLINK], form=Format.SHLINK)
    first = bulk.create(session, partner_id=shop.partner_id, rows=found, now=now)

    again = bulk.create(session, partner_id=shop.partner_id, rows=found, now=now)

    assert [one.address for one in again] == [one.address for one in first]
    assert rows(session, "SELECT count(*) FROM tracking_link") == [(3,)]


def test_each_row_says_what_is_wrong_with_it_and_stops_no_other(
    session: Session, shop: Shop, now: datetime
) -> None:
    other = make_partner(session, now=now)
    service.create_link(session, partner_id=other, slug="taken-one", now=now)
    table = (
        "slug;destination;offer;tags;expires_at\n"
        "taken-one;http://testserver/a;;;\n"
        "good-one;http://testserver/a;default;x, y;2099-01-01\n"
        "good-one;http://testserver/b;;;\n"
        "a b;http://testserver/a;;;\n"
        ";https://evil.example/;;;\n"
        ";http://testserver/c;nothing;;\n"
        ";http://testserver/c;;;2020-01-01\n"
        ";http://testserver/c;;;soon\n"
        ";http://testserver/c;;;9999-12-31T23:00:00-14:00\n"
        ";http://testserver/c;;!;\n"
        ";;;;\n"
        ";http://testserver/c;;;\n"
    )
    found = bulk.read(table)
    before = bulk.preview(session, partner_id=shop.partner_id, rows=found, now=now)
    assert rows(session, "SELECT count(*) FROM tracking_link") == [(2,)]

    made = bulk.create(session, partner_id=shop.partner_id, rows=found, now=now)

    names = [type(one.error).__name__ if one.error else "" for one in made]
    assert names == [type(one.error).__name__ if one.error else "" for one in before]
    assert names == [
        "SlugTaken",
        "",
        "TwiceInTable",
        "BadSlug",
        "HostNotAllowed",
        "UnknownOffer",
        "BadExpiry",
        "BadDate",
        "BadDate",
        "BadTag",
        "",
    ]
    assert [one.row.line for one in made] == [2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13]
    assert rows(session, "SELECT count(*) FROM tracking_link") == [(4,)]


@pytest.mark.parametrize("code", ["", "a b", "a/b", "x" * 65, "../x", "admin", "par_1"])
def test_a_code_that_cannot_be_kept_is_refused(
    session: Session, shop: Shop, now: datetime, code: str
) -> None:
    row = bulk.Row(line=2, slug=code, destination="http://testserver/a", kept=True)

    (made,) = bulk.create(session, partner_id=shop.partner_id, rows=[row], now=now)

    assert made.error is not None
    assert rows(session, "SELECT count(*) FROM tracking_link") == [(1,)]


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", bulk.NotATable),
        ("slug,destination", bulk.NoRows),
        ("name,address\na,b\n", bulk.MissingColumn),
        ("slug,destination\n" + "a,b\n" * 1001, bulk.TooManyRows),
        ("slug\x00,destination\na,b\n", bulk.NotATable),
    ],
)
def test_what_is_no_table_is_refused(text: str, error: type[FlowlinkError]) -> None:
    with pytest.raises(error):
        bulk.read(text)


@pytest.mark.parametrize(
    "text",
    [
        'slug;note\r\nfirst;"one; two"\r\nother;\r\n',
        '\ufeffslug,note\nfirst,one; two\n\n"other",\n',
        "slug\tnote\rfirst\tone; two\rother\t\r",
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "cp1252"])
def test_tables_are_read_as_spreadsheets_save_them(text: str, encoding: str) -> None:
    content = text.replace("one", "été").encode(encoding, errors="ignore")
    found = bulk.read(table_text.decoded(content) or "")

    assert [(row.slug, row.note) for row in found] == [("first", "été; two"), ("other", "")]


def test_what_no_spreadsheet_writes_is_no_text() -> None:
    assert table_text.decoded(b"slug\n\x81\xff\n") is None
    assert table_text.decoded(b"\xff\xfe\x00") is None


@pytest.mark.parametrize("form", FILES)
def test_a_file_of_another_form_says_which_column_it_lacks(form: Format) -> None:
    with pytest.raises(bulk.MissingColumn):
        importers.read("one,two\n1,2\n", form=form)
