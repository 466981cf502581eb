"""Read where the findings of a sentence are: give each phrase its places, and places to phrases that share them.

A place belongs to the phrase after it ("left basilar atelectasis"), to the phrase before it ("atelectasis at the left
base"), or to all phrases of a clause that it begins ("Left lung: effusion and atelectasis"). A phrase without a side
shares the place of a phrase that it explains ("left opacity, likely atelectasis"), is joined to ("left effusion and
atelectasis") or occurs with ("left effusion with atelectasis").
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from report_gen.labeling import location_patterns as patterns
from report_gen.labeling.marks import DENIED, NOT_MENTIONED, Mark
from report_gen.labeling.phrases import Role, Vocabulary
from report_gen.labeling.places import FoundPlace, join_places
from report_gen.records import UNKNOWN_LOCATION, FindingLocation, Side


def locate_phrases(
    sentence: str, marks: Sequence[Mark], claiming: Collection[int], vocabulary: Vocabulary
) -> Mapping[int, FindingLocation]:
    """Return the location of each phrase about a finding, by the start of the phrase.

    Args:
        sentence: The sentence.
        marks: Its phrases with their states.
        claiming: Starts of the phrases that claim a finding.
        vocabulary: The vocabulary of the schema.
    """
    phrases = [
        _LocatedPhrase(mark, _claims_only(mark, vocabulary.unlocated), _claims_only(mark, vocabulary.diffuse))
        for mark in marks
        if _absorbs(sentence, mark, claiming)
    ]
    places = vocabulary.find_places(sentence) if phrases else []
    if not places:
        return {}
    _assign_places(sentence, phrases, places)
    for phrase in phrases:
        phrase.location = join_places(phrase.places)
    _share_backward(sentence, phrases)
    _share_topics(sentence, phrases)
    _share_forward(sentence, phrases)
    return {phrase.start: phrase.location for phrase in phrases}


@dataclass(slots=True, eq=False)
class _LocatedPhrase:
    mark: Mark
    is_unlocated: bool
    """The phrase names only devices or findings of the midline, whose side is not that of other findings."""
    is_diffuse: bool
    """The phrase names a disease of both lungs, which does not share the side of a finding beside it."""
    places: list[FoundPlace] = field(default_factory=list)
    is_topic: bool = False
    """The places begin the clause, so they hold for its other phrases as well."""
    is_located_after: bool = False
    """The places follow the phrase, so they may hold for phrases before it as well."""
    location: FindingLocation = UNKNOWN_LOCATION

    @property
    def start(self) -> int:
        return self.mark.phrase.start

    @property
    def end(self) -> int:
        """End of the phrase with the places after it."""
        return max(self.mark.phrase.end, *(place.end for place in self.places), 0)

    @property
    def shares(self) -> bool:
        """Whether the phrase may share a place with another one: a denied phrase and a device do not."""
        return not self.is_unlocated and self.mark.modifier not in (DENIED, NOT_MENTIONED)


def _absorbs(sentence: str, mark: Mark, claiming: Collection[int]) -> bool:
    """Return whether places may belong to a phrase: a finding, or a quality with an anatomy or a verb before it."""
    role = mark.phrase.role
    if role is Role.QUALITY:
        return (
            mark.phrase.start in claiming or patterns.COPULA_BEFORE.search(sentence, 0, mark.phrase.start) is not None
        )
    return role is Role.FINDING


def _claims_only(mark: Mark, findings: Collection[str]) -> bool:
    claims = mark.phrase.claims
    return bool(claims) and all(finding in findings for finding, _ in claims)


def _assign_places(sentence: str, phrases: Sequence[_LocatedPhrase], places: Sequence[FoundPlace]) -> None:
    """Give every place to the phrase that it is in, after or before."""
    edges = [None, *phrases, None]
    for before, after in pairwise(edges):
        start = before.mark.phrase.start if before else 0
        end = after.start if after else len(sentence)
        between = [place for place in places if start <= place.start < end]
        within = [place for place in between if before and place.start < before.mark.phrase.end]
        between = between[len(within) :]
        if before and within:
            before.places += within
            before.is_located_after = patterns.LOCATIVE_END.search(sentence, before.start, within[0].start) is not None
        if between:
            _divide(sentence, before, between, after)


def _divide(
    sentence: str, before: _LocatedPhrase | None, places: Sequence[FoundPlace], after: _LocatedPhrase | None
) -> None:
    """Divide the places between two phrases among them."""
    if after is None:
        count = len(places)
    elif before is None:
        following = sentence[places[-1].end : after.start]
        if patterns.OTHER_CLAUSE.search(following) or patterns.OTHER_NOUN.match(following):
            return
        count = 0
    else:
        count = _count_of_first(sentence, before, places, after)
    if before and count:
        before.places += places[:count]
        before.is_located_after = True
    if after and count < len(places):
        after.places += places[count:]
        after.is_topic = not _adjoins(sentence, places[-1], after)


def _count_of_first(sentence: str, before: _LocatedPhrase, places: Sequence[FoundPlace], after: _LocatedPhrase) -> int:
    """Return how many of the places between two phrases belong to the first one.

    Those after the last break of the list belong to the second one if they adjoin it ("opacity on the right and left
    effusion") or are the subject of its clause ("opacity on the right, the left base shows atelectasis").
    """
    leading = sentence[before.mark.phrase.end : places[0].start]
    following = sentence[places[-1].end : after.start]
    has_preposition = patterns.LOCATIVE_END.search(leading) is not None
    is_connected = has_preposition or not patterns.CONNECTION_END.search(leading)
    is_compared = any(patterns.COMPARISON.search(sentence, one.end, other.start) for one, other in pairwise(places))
    if _adjoins(sentence, places[-1], after):
        return _last_break(sentence, places, patterns.LIST_BREAK) if is_connected or is_compared else 0
    is_focus = patterns.FOCUS.search(leading) is not None
    if not patterns.TOPIC_VERB.match(following):
        # In "edema as well as basal worsening of atelectasis" only the atelectasis is basal.
        is_related = patterns.RELATION.search(leading) and not (has_preposition or is_compared or is_focus)
        return 0 if is_related else len(places)
    subject_break = patterns.LIST_BREAK if patterns.THERE.match(following) else patterns.SUBJECT_BREAK
    subject = _last_break(sentence, places, subject_break) if is_connected else 0
    starts_clause = patterns.CLAUSE_START.search(leading) and not is_focus
    return subject or (0 if starts_clause else len(places))


def _last_break(sentence: str, places: Sequence[FoundPlace], pattern: re.Pattern[str]) -> int:
    """Return the number of places before the last break between them; 0 if there is none."""
    return max(
        (
            number
            for number, (one, other) in enumerate(pairwise(places), 1)
            if pattern.search(sentence, one.end, other.start)
            and not patterns.COMPARISON.search(sentence, one.start, other.end)
        ),
        default=0,
    )


def _adjoins(sentence: str, place: FoundPlace, after: _LocatedPhrase) -> bool:
    """Return whether a place is an attribute of the phrase after it: only adjectives are between them."""
    return not patterns.ATTRIBUTE_END.search(patterns.AMOUNTS.sub("", sentence[place.end : after.start]))


def _share_backward(sentence: str, phrases: Sequence[_LocatedPhrase]) -> None:
    """Give the place after a phrase to phrases before it: `atelectasis and effusion at the left base`."""
    for later, earlier in pairwise(reversed(phrases)):
        if not (later.is_located_after and later.shares and earlier.shares) or earlier.places:
            continue
        between = sentence[earlier.mark.phrase.end : later.start]
        explains = patterns.EXPLAINS.search(between) or patterns.ADJOINS.fullmatch(between)
        in_list = patterns.LISTS.fullmatch(between) and not earlier.is_diffuse
        if (explains or in_list) and not patterns.NEW_STATEMENT.search(between):
            earlier.location, earlier.is_located_after = later.location, True


def _share_topics(sentence: str, phrases: Sequence[_LocatedPhrase]) -> None:
    """Give the places that begin a clause to all its phrases without a side: `Left lung: effusion and atelectasis`."""
    topic: _LocatedPhrase | None = None
    end = 0
    for phrase in phrases:
        if patterns.TOPIC_END.search(sentence, end, phrase.start):
            topic = None
        end = phrase.mark.phrase.end
        if phrase.is_topic:
            topic = phrase if phrase.mark.phrase.role is Role.FINDING else None
        elif topic and phrase.location.side is Side.UNKNOWN and phrase.shares:
            phrase.location = phrase.location.or_else(join_places(topic.places))


def _share_forward(sentence: str, phrases: Sequence[_LocatedPhrase]) -> None:
    """Give the location of a phrase to the next one that explains it, is joined to it or occurs with it.

    "The right lung is clear except for a nodule" gives its place to the exception.
    """
    explained: FindingLocation | None = None  # location of what a list of explanations explains
    for before, phrase in pairwise(phrases):
        between = sentence[before.end : phrase.start]
        end = phrase.mark.phrase.end
        goes_on = patterns.LIST_GOES_ON.fullmatch(between) is not None and (
            explained is not None or patterns.ALTERNATIVE.match(sentence, end) is not None
        )
        is_alternative = not phrase.is_diffuse and bool(
            patterns.NOT_EXCLUDED.match(sentence, end) or patterns.CANNOT_EXCLUDE.search(between)
        )
        if not (before.shares and phrase.shares) or (patterns.NEW_STATEMENT.search(between) and not is_alternative):
            explained = None
            continue
        source = before.location if explained is None else before.location.or_else(explained)
        is_exception = before.mark.phrase.role is Role.QUALITY and patterns.EXCEPTION.search(between) is not None
        explains = goes_on or is_alternative or is_exception or patterns.EXPLAINS.search(between) is not None
        explained = source if explains else None
        if phrase.location.side is not Side.UNKNOWN:
            continue
        if (
            explains
            or patterns.ADJOINS.fullmatch(between)
            or (patterns.JOINS.fullmatch(between) and not phrase.is_diffuse)
        ):
            phrase.location = phrase.location.or_else(source)
        elif not phrase.is_diffuse and patterns.OCCURS_WITH.fullmatch(between):
            phrase.location = phrase.location.or_else(FindingLocation(source.side))
