"""Find the words of a sentence that name a side or a zone, with the tables `place` of the vocabularies."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from report_gen.labeling.phrase_language import BEGINNING, FIRST_WORD, PhraseIndex, build_phrase_index, phrase_variants
from report_gen.records import FindingLocation, Side, Zone, join_sides


@dataclass(frozen=True, slots=True)
class Place:
    """What a phrase tells of a location; nothing for a phrase such as a position of the patient."""

    side: Side = Side.UNKNOWN
    """Side that the phrase states."""
    usual_side: Side = Side.UNKNOWN
    """Side of an anatomy, unless another word states the side: "bases" are both bases, "left bases" are not."""
    zones: frozenset[Zone] = frozenset()
    partial: bool = False
    """The phrase tells something only if a place follows: "upper and lower lobes", "both bases"."""


class FoundPlace(NamedTuple):
    """A place that was found in a sentence: `sentence[start:end]`."""

    place: Place
    start: int
    end: int


def build_places(entries: Iterable[Mapping[str, Any]]) -> PhraseIndex[Place]:
    """Compile the tables `place` of a vocabulary."""
    return build_phrase_index(
        {
            variant: _place(entry)
            for entry in entries
            for phrase in entry["phrases"]
            for variant in phrase_variants(phrase)
        }
    )


def find_places(sentence: str, index: PhraseIndex[Place]) -> list[FoundPlace]:
    """Return the places of a sentence in order, without overlap.

    Args:
        sentence: The sentence in lower case.
        index: The compiled places.
    """
    found: list[FoundPlace] = []
    end = 0
    for word in FIRST_WORD.finditer(sentence):
        if word.start() < end:
            continue
        beginning = word[0][:BEGINNING]
        pattern = index.patterns.get(beginning)
        match = pattern.match(sentence, word.start()) if pattern else None
        if match and match.lastindex:
            end = match.end()
            found.append(FoundPlace(index.meanings[beginning][match.lastindex - 1], word.start(), end))
    return _complete(sentence, found)


def join_places(places: Sequence[FoundPlace]) -> FindingLocation:
    """Return the location that several places give to one finding."""
    stated = join_sides(*(found.place.side for found in places))
    if stated is Side.UNKNOWN:
        stated = join_sides(*(found.place.usual_side for found in places))
    return FindingLocation(stated, frozenset(zone for found in places for zone in found.place.zones))


_ADJOINS = re.compile(r"\s+(?:(?:the|lung|lateral|medial|posterior)\s+)*")
_LIST = re.compile(r"[ ,/-]*(?:and|or|to|through|than|[,/&-])[ ,-]*(?:\w+ ){0,2}")
"""Text between two zones of one list: "upper, middle and the lower lobes"."""


def _complete(sentence: str, places: Sequence[FoundPlace]) -> list[FoundPlace]:
    """Return the places that tell something: without partial ones that no place follows."""
    kept: list[FoundPlace] = []
    following: FoundPlace | None = None
    leads_to_zone = False  # whether `following` names a zone, or a side before one
    for found in reversed(places):
        between = sentence[found.end : following.start] if following else ""
        adjoins, in_list = _ADJOINS.fullmatch(between) is not None, _LIST.fullmatch(between) is not None
        if found.place.partial and found.place.zones:
            keep = (leads_to_zone and in_list) or (adjoins and following is not None and not following.place.zones)
        elif found.place.partial:
            keep = adjoins
        else:
            keep = found.place != Place()
        leads_to_zone = keep and (bool(found.place.zones) or (leads_to_zone and (adjoins or in_list)))
        following = found if keep else None
        if keep:
            kept.append(found)
    return kept[::-1]


def _place(entry: Mapping[str, Any]) -> Place:
    return Place(
        side=Side(entry.get("side", Side.UNKNOWN)),
        usual_side=Side(entry.get("usual_side", Side.UNKNOWN)),
        zones=frozenset(map(Zone, entry.get("zones", ()))),
        partial=entry.get("partial", False),
    )
