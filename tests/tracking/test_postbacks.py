"""Postbacks: what each word, amount and click does to a conversion, and what never moves it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from flowlink.kernel.money import Money
from flowlink.tracking import (
    clickid,
    jobs as tracking_jobs,
    networks,
    offers,
    postbacks,
    queries,
)
from flowlink.tracking.clickid import ClickRef
from flowlink.tracking.ids import OfferId
from flowlink.tracking.models import Mode, Status
from flowlink.tracking.offers import OfferIn
from flowlink.tracking.postbacks import PostbackIn
from tests.tracking.makers import (
    BROWSER,
    Send,
    Shop,
    conversions,
    events,
    make_click,
    make_shop,
    postback,
    revisions,
    rows,
)


def test_an_approved_sale_becomes_a_conversion(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    assert send(subid=click, amount="12.34", currency="EUR", txn_id="t1") == ("ok", None)

    (found,) = queries.conversions_of(session, partner_id=shop.partner_id)
    assert (found.status, found.amount_micro, found.currency) == ("approved", 12_340_000, "EUR")
    assert (found.link_id, found.revision, found.share_bps) == (shop.link.id, 1, 6000)
    assert found.click_id == getattr(clickid.read(click), "number", None)
    assert revisions(session) == [(1, "approved", 1234)]
    assert events(session) == 1


STATUSES = ("pending", "approved", "rejected", "reversed")
# what was sent before -> what each next word does: result, status afterwards
MATRIX: dict[tuple[str, ...], tuple[tuple[str, str], ...]] = {
    ("pending",): (
        ("duplicate", "pending"),
        ("ok", "approved"),
        ("ok", "rejected"),
        ("ok", "reversed"),
    ),
    ("approved",): (
        ("duplicate", "approved"),
        ("duplicate", "approved"),
        ("ok", "reversed"),
        ("ok", "reversed"),
    ),
    ("rejected",): (
        ("duplicate", "rejected"),
        ("ok", "approved"),
        ("duplicate", "rejected"),
        ("ok", "reversed"),
    ),
    ("reversed",): (("duplicate", "reversed"),) * 4,
    ("pending", "approved", "rejected"): (("duplicate", "reversed"),) * 4,
    ("pending", "rejected", "approved"): (
        ("duplicate", "approved"),
        ("duplicate", "approved"),
        ("ok", "reversed"),
        ("ok", "reversed"),
    ),
}


@pytest.mark.parametrize(
    ("before", "word", "expected"),
    [
        (before, word, expected)
        for before, row in MATRIX.items()
        for word, expected in zip(STATUSES, row, strict=True)
    ],
)
def test_what_a_word_does_depends_on_the_words_before(
    session: Session,
    click: str,
    send: Send,
    before: tuple[str, ...],
    word: str,
    expected: tuple[str, str],
) -> None:
    for status in before:
        assert send(subid=click, amount="10", status=status, txn_id="t1")[0] == "ok"
    told = events(session)

    result, reason = send(subid=click, amount="10", status=word, txn_id="t1")

    ((now_it_is, cents, revision),) = conversions(session)
    assert ((result, now_it_is), cents) == (expected, 1000)
    assert (result == "duplicate") == (events(session) == told)
    assert (result == "duplicate") <= (reason is not None)
    assert revision == len(revisions(session)) == len(before) + (result == "ok")


def test_an_amount_may_change_until_it_is_taken_back(
    session: Session, click: str, send: Send
) -> None:
    for status, amount in (
        ("pending", "10"),
        ("pending", "12"),
        ("approved", ""),
        ("approved", "9.5"),
    ):
        assert send(subid=click, amount=amount, status=status, txn_id="t1") == ("ok", None)
    send(subid=click, amount="3", status="reversed", txn_id="t1")
    send(subid=click, amount="99", status="approved", txn_id="t1")

    assert conversions(session) == [("reversed", 950, 5)]
    assert [row[2] for row in revisions(session)] == [1000, 1200, 1200, 950, 950]


def test_without_a_transaction_the_click_and_goal_name_the_event(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    other = make_click(session, shop, now)

    answers = [
        send(subid=click, amount="5")[0],
        send(subid=click.upper(), amount="5")[0],
        send(subid=click, amount="5", goal="deposit")[0],
        send(subid=other, amount="5")[0],
    ]

    assert answers == ["ok", "duplicate", "ok", "ok"]
    assert len(conversions(session)) == 3


def test_one_transaction_may_reach_several_goals(session: Session, click: str, send: Send) -> None:
    for goal in ("", "lead", "sale", "lead"):
        send(subid=click, amount="5", txn_id="t1", goal=goal)

    assert len(conversions(session)) == 3


def test_a_later_word_needs_no_click_when_the_transaction_is_known(
    session: Session, click: str, send: Send
) -> None:
    send(subid=click, amount="5", txn_id="t1")

    assert send(txn_id="t1", status="reversed") == ("ok", None)
    assert conversions(session) == [("reversed", 500, 2)]


@pytest.mark.parametrize(
    ("subid", "reason"),
    [
        ("", "missing_click"),
        ("garbage", "unreadable_click"),
        ("0" * 36, "unreadable_click"),
        ("1:2:3", "unknown_click"),
        ("par_00000000000000000000000000:x:y", "unknown_click"),
        ("\x00", "unreadable_subid"),
        ("9" * 19 + ":" + "9" * 19 + ":x", "unknown_click"),
    ],
)
def test_an_unknown_click_is_an_orphan(
    session: Session, send: Send, subid: str, reason: str
) -> None:
    result, why = send(subid=subid, amount="5", txn_id="t1")

    assert why == reason
    assert result == ("quarantined" if reason == "unreadable_subid" else "orphan")
    assert conversions(session) == []


def test_a_forged_click_is_an_orphan(session: Session, click: str, send: Send) -> None:
    forged = click[:-1] + ("0" if click[-1] != "0" else "1")

    assert send(subid=forged, amount="5") == ("orphan", "unreadable_click")
    assert conversions(session) == []


def test_a_signed_click_of_a_link_that_is_not_there_is_an_orphan_until_it_is(
    session: Session, shop: Shop, send: Send, now: datetime
) -> None:
    ((last,),) = rows(session, "SELECT max(number) FROM tracking_link")
    assert isinstance(last, int)
    late = clickid.token(ClickRef(clickid.floor(now), last + 1, 1))

    assert send(subid=late, amount="5") == ("orphan", "unknown_click")
    assert tracking_jobs.postback_rematch(now) == "0 of 1 orphans matched"
    other = make_shop(session, now=now)
    assert other.link.number == last + 1
    session.flush()
    assert tracking_jobs.postback_rematch(now) == "1 of 1 orphans matched"

    session.expire_all()
    assert conversions(session) == [("approved", 500, 1)]
    assert tracking_jobs.postback_rematch(now) == "0 of 0 orphans matched"


def test_an_orphan_is_given_up_after_seven_days(
    session: Session, send: Send, now: datetime
) -> None:
    send(subid="garbage", amount="5")

    later = now + timedelta(days=7, seconds=1)
    assert tracking_jobs.postback_rematch(later) == "0 of 0 orphans matched"


def test_the_old_style_is_understood(session: Session, shop: Shop, click: str, send: Send) -> None:
    ((number,),) = rows(session, "SELECT number FROM partners_partner")
    assert send(subid=f"x:y:{click}", amount="1", txn_id="a") == ("ok", None)
    assert send(subid=f"{number}:{shop.link.code}:777", amount="2", txn_id="b") == ("ok", None)
    assert send(subid=f"{number}:{shop.link.code}:778", amount="3") == ("ok", None)
    assert send(subid=f"{number}:{shop.link.code}:778", amount="3")[0] == "duplicate"

    owners = {one.partner_id for one in queries.conversions_of(session, partner_id=shop.partner_id)}
    assert owners == {shop.partner_id}
    assert len(conversions(session)) == 3


def test_the_old_style_cannot_take_anothers_link(
    session: Session, shop: Shop, send: Send, now: datetime
) -> None:
    other = make_shop(session, now=now)
    ((mine,),) = rows(
        session, "SELECT number FROM partners_partner WHERE id = :id", id=shop.partner_id
    )

    assert send(subid=f"{mine}:{other.link.code}:1", amount="5") == ("orphan", "unknown_click")
    assert conversions(session) == []


def test_a_click_older_than_the_lookback_is_quarantined(
    session: Session, shop: Shop, now: datetime, send: Send
) -> None:
    old = make_click(session, shop, now - timedelta(days=91))

    assert send(subid=old, amount="5") == ("quarantined", "outside_lookback")
    assert conversions(session) == []


def test_a_rebill_counts_however_old_its_click_is(
    session: Session, shop: Shop, click: str, now: datetime, send: Send
) -> None:
    """How far a network looks back was asked when the first of these payments came."""
    later = now + timedelta(days=200)
    send(subid=click, amount="5", txn_id="1", goal="plan")

    assert send(subid=click, amount="5", txn_id="2", goal="plan", at=later) == ("ok", None)
    assert send(subid=click, amount="5", txn_id="3", at=later)[1] == "outside_lookback"
    assert conversions(session) == [("approved", 500, 1), ("approved", 500, 1)]


def test_a_first_sale_that_was_rejected_makes_none_a_rebill(
    session: Session, shop: Shop, click: str, now: datetime, send: Send
) -> None:
    send(subid=click, amount="5", txn_id="1", status="rejected")

    refused = send(subid=click, amount="5", txn_id="2", at=now + timedelta(days=91))

    assert refused == ("quarantined", "outside_lookback")
    assert conversions(session) == [("rejected", 500, 1)]


def test_a_preview_tells_all_and_changes_nothing(
    session: Session, shop: Shop, click: str, now: datetime
) -> None:
    request = PostbackIn("GET", postback(shop, subid=click, amount="5", status="sale"))

    shown = postbacks.preview(session, request=request, now=now)

    assert (shown.result, shown.reason) == ("ok", None)
    assert shown.claim is not None
    assert (shown.claim.status, shown.claim.amount and shown.claim.amount.cents) == (
        Status.APPROVED,
        500,
    )
    assert shown.attribution is not None
    assert shown.attribution.link_id == shop.link.id
    assert "key" not in shown.fields
    assert (conversions(session), rows(session, "TABLE tracking_postback")) == ([], [])


def test_the_trail_holds_click_postbacks_and_revisions(
    session: Session, shop: Shop, click: str, send: Send
) -> None:
    for status in ("pending", "approved", "approved"):
        send(subid=click, amount="5", status=status, txn_id="t1")
    (found,) = queries.conversions_of(session, partner_id=shop.partner_id)

    shown = queries.trail(session, found.id)

    assert shown.click is not None
    assert (shown.click.code, shown.click.agent) == (shop.link.code, BROWSER)
    assert [one.result for one in shown.postbacks] == ["ok", "ok", "duplicate"]
    assert [one.status for one in shown.revisions] == ["pending", "approved"]


def test_a_revision_can_never_be_changed(session: Session, click: str, send: Send) -> None:
    send(subid=click, amount="5")

    with pytest.raises(ProgrammingError, match="append-only"), session.begin_nested():
        rows(session, "UPDATE tracking_conversion_revision SET amount_micro = 0")

    assert revisions(session) == [(1, "approved", 500)]


def share(session: Session, share_bps: int, at: datetime) -> None:
    """Another share for the offer, from that moment on."""
    offer = offers.named(session, "default")
    terms = replace(offers.terms_of(offer), share_bps=share_bps)
    key = OfferId(offer.id)
    offers.change(session, offer_id=key, terms=terms, version=offer.version, actor="test", now=at)


def test_the_share_is_fixed_when_the_conversion_begins(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    share(session, 2500, now - timedelta(hours=1))
    send(subid=click, amount="5", txn_id="t1")
    share(session, 100, now)
    send(subid=click, amount="6", txn_id="t1")

    (found,) = queries.conversions_of(session, partner_id=shop.partner_id)
    assert (found.share_bps, found.revision) == (2500, 2)


def test_a_sale_on_a_cpc_offer_earns_no_share(
    session: Session, shop: Shop, click: str, send: Send, now: datetime
) -> None:
    network = networks.named(session, "direct")
    terms = OfferIn(
        name="clicks", mode=Mode.CPC, destination="https://shop.example/", cpc=Money(120_000)
    )
    offer = offers.create(session, given=terms, network=network, actor="test", now=now)
    shop.link.offer_id = offer.id
    session.flush()

    send(subid=click, amount="5")

    (found,) = queries.conversions_of(session, partner_id=shop.partner_id)
    assert found.share_bps == 0
