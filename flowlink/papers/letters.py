"""Which letters papers can show: those of the fonts that come with Typst, and nothing else.

PDF/A has every letter's shape in the file, so one without a shape is no file at all. Names,
references and reasons come from anybody: what cannot be shown must not stop a paper.
"""

import unicodedata

# Latin, Greek, Cyrillic, Hebrew, Vietnamese, punctuation, currencies, arrows.
_RANGES = (
    (0x0020, 0x007E),
    (0x00A0, 0x0377),
    (0x037A, 0x037F),
    (0x0384, 0x038A),
    (0x038C, 0x038C),
    (0x038E, 0x03A1),
    (0x03A3, 0x04FF),
    (0x05D0, 0x05EA),
    (0x1E00, 0x1EFF),
    (0x2010, 0x2027),
    (0x202F, 0x203A),
    (0x2044, 0x2044),
    (0x2070, 0x2071),
    (0x2074, 0x208E),
    (0x20A0, 0x20BF),
    (0x2190, 0x21FF),
)
UNKNOWN = "?"


def shows(text: str) -> bool:
    """Whether a paper can show every letter of it."""
    return all(_known(letter) for letter in unicodedata.normalize("NFC", text))


def shown(text: str) -> str:
    """The text as a paper can show it: plainer forms of letters, `?` for what has none.

    Marks that have no shape, such as those that turn a line's direction, are left out.
    """
    return "".join(_nearest(letter) for letter in unicodedata.normalize("NFC", text))


def _nearest(letter: str) -> str:
    if _known(letter) or letter == "\n":
        return letter
    if letter.isspace():
        return " "
    if unicodedata.category(letter) in {"Cc", "Cf"}:
        return ""
    plain = unicodedata.normalize("NFKD", letter)
    return plain if all(_known(part) for part in plain) else UNKNOWN


def _known(letter: str) -> bool:
    return unicodedata.category(letter) not in {"Cc", "Cf"} and any(
        first <= ord(letter) <= last for first, last in _RANGES
    )
