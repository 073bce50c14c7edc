"""Click ids: what goes in comes out, and nobody else can make one."""

from datetime import UTC, datetime, timedelta

from hypothesis import given, settings as hypothesis, strategies as st

from flowlink.kernel import settings
from flowlink.tracking import clickid
from flowlink.tracking.clickid import ClickRef, Maker
from tests.conftest import test_settings as settings_with

refs = st.builds(
    ClickRef,
    number=st.integers(0, 2**63 - 1),
    link=st.integers(0, 2**36 - 1),
    partner=st.integers(0, 2**29 - 1),
)
NOW = datetime(2026, 11, 21, 8, 30, tzinfo=UTC)


@given(refs)
def test_a_token_says_what_was_put_in(ref: ClickRef) -> None:
    token = clickid.token(ref)

    assert len(token) == 36
    assert token == token.lower()
    assert token.isalnum()
    assert clickid.read(token) == ref


@given(refs)
def test_a_token_survives_a_network_that_folds_case(ref: ClickRef) -> None:
    assert clickid.read(clickid.token(ref).upper()) == ref


@given(refs, st.integers(0, 35), st.sampled_from("0123456789abcdefghjkmnpqrstvwxyz"))
def test_a_changed_token_is_not_one_of_ours(ref: ClickRef, place: int, letter: str) -> None:
    token = clickid.token(ref)
    forged = token[:place] + letter + token[place + 1 :]

    assert clickid.read(forged) == (ref if forged == token else None)


@given(st.text(max_size=60) | st.text("0123456789abcdefghjkmnpqrstvwxyz", min_size=36, max_size=36))
def test_made_up_text_is_nothing(text: str) -> None:
    assert clickid.read(text) is None


@hypothesis(max_examples=20)
@given(refs)
def test_a_token_does_not_show_whose_it_is(ref: ClickRef) -> None:
    other = ClickRef(ref.number, ref.link, ref.partner ^ 1)

    one, two = clickid.token(ref), clickid.token(other)

    assert sum(a != b for a, b in zip(one, two, strict=True)) > 10


def test_a_token_of_an_older_key_is_still_read() -> None:
    before = settings.current()
    ref = ClickRef(clickid.floor(NOW), 7, 3)
    token = clickid.token(ref)
    try:
        settings.use(
            settings_with(secret_keys=("a-brand-new-secret-key-0002", *before.secret_keys))
        )
        assert clickid.read(token) == ref
        assert clickid.token(ref) != token
        settings.use(settings_with(secret_keys=("a-brand-new-secret-key-0002",)))
        assert clickid.read(token) is None
    finally:
        settings.use(before)


def test_numbers_only_grow_even_when_the_clock_does_not() -> None:
    maker = Maker(node=5)

    numbers = [maker.next(NOW) for _ in range(5_000)]
    numbers += [maker.next(NOW - timedelta(hours=1)) for _ in range(10)]

    assert numbers == sorted(set(numbers))
    assert abs(clickid.at(numbers[0]) - NOW) < timedelta(milliseconds=1)


def test_two_processes_never_make_the_same_number() -> None:
    one, two = Maker(node=1), Maker(node=2)

    numbers = {maker.next(NOW) for maker in (one, two) for _ in range(1_000)}

    assert len(numbers) == 2_000


def test_the_floor_of_a_moment_is_below_all_its_clicks() -> None:
    assert clickid.floor(NOW) <= Maker(node=0).next(NOW) < clickid.floor(NOW + timedelta(seconds=1))
