"""Letters that every SEPA bank must take (EPC217-08, best practices on the character set).

Others are written in them: without their accents, spelled out, or, as Greek and Cyrillic, letter
by letter, so that the name still says who is paid when a bank compares it with the account's.
"""

# ruff: noqa: RUF001 - these letters are meant
import re
import unicodedata
from xml.sax.saxutils import escape

NOBODY = "NOTPROVIDED"
_SLASHES = re.compile("/+")
_ALLOWED = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/-?:().,'+ ")
_SIGNS = {
    "ẞ": "SS",
    "&": "+",
    "@": "(at)",
    "\u2018": "'",
    "\u2019": "'",
    "\u2013": "-",
    "\u2014": "-",
}
# Each letter with what it becomes.
_LATIN = "ßss æae œoe øo łl đd ðd þth ħh ŧt ŋn ıi"
_GREEK = "αa βv γg δd εe ζz ηi θth ιi κk λl μm νn ξx οo πp ρr σs ςs τt υy φf χch ψps ωo"
_CYRILLIC = (
    "аa бb вv гg дd еe жzh зz иi йy кk лl мm нn оo пp рr сs тt уu фf хh цts чch шsh щsht ъa ьy"
    " юyu яya ыy эe іi їi єye ґg ѓg ќk јj љlj њnj ћc ђd џdz ѝi"
)
_SMALL = {word[0]: word[1:] for word in f"{_LATIN} {_GREEK} {_CYRILLIC}".split()}
_SPELLED = {letter.upper(): spelled.upper() for letter, spelled in _SMALL.items()} | _SMALL | _SIGNS
del _SPELLED["I"], _SPELLED["SS"]  # the capitals of the dotless i and of ß


def plain(text: str, longest: int) -> str:
    """The text in the letters that every SEPA bank must take, escaped for XML."""
    bare = _spelled(unicodedata.normalize("NFKD", _spelled(unicodedata.normalize("NFC", text))))
    letters = [
        letter if letter in _ALLOWED else "."
        for letter in bare
        if not unicodedata.combining(letter)
    ]
    # An identifier or text must not begin or end with a slash nor hold two (EPC217-08).
    cleaned = " ".join(_SLASHES.sub("/", "".join(letters)).strip("/ ").split())
    cut = cleaned[:longest].strip()
    return escape(cut if any(map(str.isalnum, cut)) else NOBODY)


def _spelled(text: str) -> str:
    return "".join(_SPELLED.get(letter, letter) for letter in text)
