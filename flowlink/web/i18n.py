"""Languages: which one a reader gets, the catalogue behind `_()`, and amounts and dates in it."""

import gettext
import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from itertools import count
from pathlib import Path

from babel import Locale, dates, numbers

from flowlink.kernel.errors import FlowlinkError
from flowlink.kernel.money import Money

LANGUAGES: Mapping[str, str] = {"fr": "Français", "en": "English"}
DEFAULT = "fr"
_NUMBER = re.compile(r"\d+(?:[.,]\d+)*")
_CATALOGUES = Path(__file__).parent / "locale"
# English words, but the day before the month and 24 hours: money here is European.
_LOCALES = {"fr": Locale("fr", "FR"), "en": Locale("en", "GB")}


def mark(msgid: str) -> str:
    """Name a msgid for the catalogue where it is not translated yet."""
    return msgid


class _Translations(gettext.GNUTranslations):
    """Under the empty text a catalogue keeps who has written it: that is nobody's translation."""

    def gettext(self, message: str) -> str:
        return super().gettext(message) if message else ""


@cache
def catalogue(lang: str) -> gettext.NullTranslations:
    """The translations into `lang`; English is what the msgids are written in."""
    if lang == "en":
        return gettext.NullTranslations()
    return gettext.translation("flowlink", _CATALOGUES, [lang], _Translations)


def translate(lang: str, msgid: str, params: Mapping[str, object] | None = None) -> str:
    """`msgid` in `lang`, its `%(name)s` places filled."""
    text = catalogue(lang).gettext(msgid)
    return text % params if params else text


def kept(lang: str, text: str) -> str:
    """A sentence that was kept in English, in `lang`: its numbers are places of the msgid.

    `3 rewards settled` is `%(n1)s rewards settled`. What is not known as a whole is looked up
    clause by clause; what nobody has translated stays as it is.
    """
    if lang == "en":
        return text
    whole = _kept(lang, text)
    if whole is not None:
        return whole
    for sign, french in (("; ", "\u00a0; "), (": ", "\u00a0: "), (", ", ", ")):
        if sign in text:
            clauses = (kept(lang, clause) for clause in text.split(sign))
            return (french if lang == "fr" else sign).join(clauses)
    return text


def message_of(lang: str, error: FlowlinkError) -> str:
    """What a refusal says to its reader; amounts and reasons among its parameters likewise."""
    params = {name: _told(lang, value) for name, value in error.params.items()}
    return translate(lang, error.message, params)


def _told(lang: str, value: object) -> object:
    if isinstance(value, Money):
        return money(value, lang)
    return _kept(lang, value) or value if isinstance(value, str) else value


def _kept(lang: str, text: str) -> str | None:
    numbers = {f"n{nth}": one for nth, one in enumerate(_NUMBER.findall(text), 1)}
    places = (f"%(n{nth})s" for nth in count(1))
    msgid = _NUMBER.sub(lambda _: next(places), text.replace("%", "%%"))
    found = catalogue(lang).gettext(msgid)
    return found % numbers if found != msgid else None


def negotiate(*, asked: str | None, kept: str | None, accepted: str) -> str:
    """The language of a request: `?lang=`, else the cookie, else Accept-Language, else French."""
    for choice in (asked, kept):
        if choice is not None and choice in LANGUAGES:
            return choice
    ranked = sorted(map(_preference, accepted.split(",")), key=lambda item: -item[1])
    for tag, weight in ranked:
        if tag in LANGUAGES and weight > 0:
            return tag
    return DEFAULT


def _preference(item: str) -> tuple[str, float]:
    """One item of Accept-Language (RFC 9110, 12.5.4) as primary tag and weight."""
    tag, _, weight = item.partition(";")
    _, _, number = weight.partition("=")
    try:
        quality = float(number) if number.strip() else 1.0
    except ValueError:
        quality = 0.0
    return tag.strip().lower().partition("-")[0], quality


def money(amount: Money, lang: str) -> str:
    """`12,34 €` or `€12.34`: whole cents, halves to even (spec 7)."""
    return numbers.format_currency(
        amount.round_cents().decimal(), amount.currency, locale=_LOCALES[lang]
    )


def number(value: int | float | Decimal, lang: str) -> str:
    return numbers.format_decimal(value, locale=_LOCALES[lang])


def percent(bps: int, lang: str) -> str:
    """Basis points as a percentage: 3000 is `30 %`."""
    return numbers.format_percent(
        Decimal(bps) / 10_000, format=_percent_pattern(lang), locale=_LOCALES[lang]
    )


def _percent_pattern(lang: str) -> str:
    return "#,##0.##\xa0%" if lang == "fr" else "#,##0.##%"


def day(value: date, lang: str) -> str:
    """`21 nov. 2026`; of a moment, its day in UTC."""
    return dates.format_date(_utc(value), "medium", locale=_LOCALES[lang])


def month(value: date, lang: str) -> str:
    """`novembre 2026`; of a moment, its month in UTC."""
    return dates.format_date(_utc(value), "MMMM y", locale=_LOCALES[lang])


def moment(value: datetime, lang: str) -> str:
    """`21 nov. 2026, 08:10 UTC`; app.js rewrites it in the reader's own zone."""
    local = dates.format_datetime(_utc(value), "d MMM y, HH:mm", locale=_LOCALES[lang])
    return f"{local} UTC"


def _utc(value: date) -> date:
    return value.astimezone(UTC) if isinstance(value, datetime) else value
