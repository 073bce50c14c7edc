"""Networks whose way of speaking is public: each entry of `presets.json` names its source.

A preset is data to begin with: the network made from it is an operator's to change. Its postback
URL uses our own field names, and in their places the network's macros.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flowlink.kernel.errors import NotFound
from flowlink.web.i18n import mark

_FILE = Path(__file__).with_suffix(".json")
_NOTES: Mapping[str, str] = {
    "admitad": mark(
        "Make one postback URL for each status at Admitad, and write that status "
        "(pending, approved, rejected) into it."
    ),
    "affise": mark(
        "For every network that runs on Affise. Status 5, approved and put on hold, stays"
        " pending here."
    ),
    "awin": mark(
        "Awin tells of new transactions only. What it validates or declines comes in with a report."
    ),
    "cake": mark(
        "For every network that runs on CAKE. s1 is kept for sub-affiliates there, so the"
        " click id travels in s2."
    ),
    "digistore24": mark(
        "Its page does not list the words of transaction_type: those we do not know wait "
        "in quarantine until you teach them."
    ),
    "impact": mark("Its names are case-sensitive."),
    "indoleads": mark(
        "Its list of macros has no status: what comes in is pending until a report confirms it."
    ),
    "keitaro": mark(
        "For advertisers and agencies whose tracker is Keitaro; their campaign has to "
        "take external_id from our links."
    ),
    "prodege": mark(
        "Its page does not list the words of state: those we do not know wait in "
        "quarantine until you teach them."
    ),
    "trackier": mark(
        "For every network that runs on Trackier. Its page says that {payout} is in "
        "dollars: ask for euros."
    ),
    "tune": mark(
        "For every network that runs on TUNE. Written down by one of its users, not by "
        "TUNE itself: try it with a test conversion."
    ),
    "adtraction": mark(
        "Its page shows neither a number of the transaction nor the words of status: "
        "words that we do not know wait in quarantine until you teach them."
    ),
    "limonad": mark(
        "At LimonAd you name the statuses yourself: call them pending, approved and rejected."
    ),
    "mychips": mark("For apps; its payouts are in dollars."),
    "mylead": mark(
        "Its page shows [ml_sub1] alone, the other names are those that its users "
        "write: compare them with the list in your panel."
    ),
    "playtimeads": mark(
        "It sends no number of the transaction: each event of a click counts once."
    ),
    "reach": mark(
        "Its page does not list the words of status: those we do not know wait in "
        "quarantine until you teach them."
    ),
    "zeydoo": mark("It sends no number of the transaction: a click counts once."),
}


class UnknownPreset(NotFound):
    message = "There is no preset of this name."
    field = "preset"


@dataclass(frozen=True, slots=True)
class Preset:
    """How a network speaks, and where that is written. `places`: our field -> its macro."""

    name: str
    title: str
    click_param: str
    places: Mapping[str, str]
    statuses: Mapping[str, str]
    default_status: str | None
    source_title: str
    source_url: str

    @property
    def note(self) -> str:
        """What its operator has to know: a msgid."""
        return _NOTES.get(self.name, "")


@cache
def every() -> Sequence[Preset]:
    """All presets, by name."""
    return [Preset(**entry) for entry in json.loads(_FILE.read_text())]


def named(name: str) -> Preset:
    """:raises UnknownPreset: there is none."""
    for preset in every():
        if preset.name == name:
            return preset
    raise UnknownPreset


def places(name: str | None) -> Mapping[str, str] | None:
    """What the network puts into its postback URL; None without a preset, or one that is gone."""
    return next((preset.places for preset in every() if preset.name == name), None)
