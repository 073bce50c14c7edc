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

_FILE = Path(__file__).with_suffix(".json")


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
    note: str
    source_title: str
    source_url: str


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
