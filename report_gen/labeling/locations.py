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
    is_device: bool
    """The phrase names only devices, whose side is not that of other findings."""
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
        return not self.is_device and self.mark.modifier not in (DENIED, NOT_MENTIONED)


_COPULA_BEFORE = re.compile(r"\b(?:is|are|was|were|appears?|remains?)\s+(?:\w+\s+)?$", re.IGNORECASE)


def _absorbs(sentence: str, mark: Mark, claiming: Collection[int]) -> bool:
    """Return whether places may belong to a phrase: a finding, or a quality with an anatomy or a verb before it."""
    role = mark.phrase.role
    if role is Role.QUALITY:
        return mark.phrase.start in claiming or _COPULA_BEFORE.search(sentence, 0, mark.phrase.start) is not None
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
            before.is_located_after = _LOCATIVE_END.search(sentence, before.start, within[0].start) is not None
        if between:
            _divide(sentence, before, between, after)


def _divide(
    sentence: str, before: _LocatedPhrase | None, places: Sequence[FoundPlace], after: _LocatedPhrase | None
) -> None:
    """Divide the places between two phrases among them."""
    if after is None:
        count = len(places)
    elif before is None:
        if _OTHER_CLAUSE.search(sentence, places[-1].end, after.start):
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
    following = sentence[places[-1].end : after.start]
    breaks = [
        place
        for place, (one, other) in enumerate(pairwise(places), 1)
        if _LIST_BREAK.search(sentence, one.end, other.start) and not _COMPARISON.search(sentence, one.start, other.end)
    ]
    leading = sentence[before.mark.phrase.end : places[0].start]
    is_connected = not _CONNECTION_END.search(leading) or _LOCATIVE_END.search(leading) is not None
    if _adjoins(sentence, places[-1], after):
        return (breaks[-1] if breaks else 0) if is_connected or _is_compared(sentence, places) else 0
    if not _TOPIC_VERB.match(following):
        return len(places)
    if breaks and is_connected:
        return breaks[-1]
    return 0 if _CLAUSE_START.search(leading) and not _FOCUS.search(leading) else len(places)


def _adjoins(sentence: str, place: FoundPlace, after: _LocatedPhrase) -> bool:
    """Return whether a place is an attribute of the phrase after it: only adjectives are between them."""
    return not _ATTRIBUTE_END.search(_AMOUNTS.sub("", sentence[place.end : after.start]))


def _is_compared(sentence: str, places: Sequence[FoundPlace]) -> bool:
    return any(_COMPARISON.search(sentence, one.end, other.start) for one, other in pairwise(places))


def _share_backward(sentence: str, phrases: Sequence[_LocatedPhrase]) -> None:
    """Give the place after a phrase to phrases before it: `atelectasis and effusion at the left base`."""
    for later, earlier in pairwise(reversed(phrases)):
        if not (later.is_located_after and later.shares and earlier.shares) or earlier.places:
            continue
        between = sentence[earlier.mark.phrase.end : later.start]
        explains = _EXPLAINS.search(between) or _ADJOINS.fullmatch(between)
        in_list = _LISTS.fullmatch(between) and not earlier.is_diffuse
        if (explains or in_list) and not _NEW_STATEMENT.search(between):
            earlier.location, earlier.is_located_after = later.location, True


def _share_topics(sentence: str, phrases: Sequence[_LocatedPhrase]) -> None:
    """Give the places that begin a clause to all its phrases without a side: `Left lung: effusion and atelectasis`."""
    topic: _LocatedPhrase | None = None
    end = 0
    for phrase in phrases:
        if _TOPIC_END.search(sentence, end, phrase.start):
            topic = None
        end = phrase.mark.phrase.end
        if phrase.is_topic:
            topic = phrase if phrase.mark.phrase.role is Role.FINDING else None
        elif topic and phrase.location.side is Side.UNKNOWN and phrase.shares:
            phrase.location = phrase.location.or_else(join_places(topic.places))


def _share_forward(sentence: str, phrases: Sequence[_LocatedPhrase]) -> None:
    """Give the location of a phrase to the next one that explains it, is joined to it or occurs with it."""
    explaining = False
    for before, phrase in pairwise(phrases):
        between = sentence[before.end : phrase.start]
        goes_on = _LIST_GOES_ON.fullmatch(between) is not None and (
            explaining or _ALTERNATIVE.match(sentence, phrase.mark.phrase.end) is not None
        )
        explaining = False
        is_alternative = not phrase.is_diffuse and _NOT_EXCLUDED.match(sentence, phrase.mark.phrase.end) is not None
        if not (before.shares and phrase.shares) or (_NEW_STATEMENT.search(between) and not is_alternative):
            continue
        explaining = goes_on or is_alternative or _EXPLAINS.search(between) is not None
        if phrase.location.side is not Side.UNKNOWN:
            continue
        if explaining or _ADJOINS.fullmatch(between) or (_JOINS.fullmatch(between) and not phrase.is_diffuse):
            phrase.location = phrase.location.or_else(before.location)
        elif not phrase.is_diffuse and _OCCURS_WITH.fullmatch(between):
            phrase.location = phrase.location.or_else(FindingLocation(before.location.side))


def _words(*lists: str) -> str:
    """Return a pattern of the words in several lists."""
    return rf"\b(?:{'|'.join(word for words in lists for word in words.split())})\b"


_PREPOSITIONS = (
    "in at on of within over overlying along involving involves near adjacent to above behind under around from across"
)
_VERBS = (
    "is are was were has have had shows? showing demonstrates? demonstrating contains? reveals? there remains? appears?"
)
_CONTRASTS = "but however while whereas although though"
_RELATIVES = "which that who whose"
_EXPLANATIONS = (
    r"may might could likely probably possibly suggest\w* represent\w* reflect\w* consistent compatible concerning"
    r" suspicious worrisome"
)
_AMOUNT = r"(?:areas?|focus|foci|amounts?|bands?|patch|patches|evidence|elements?|components?|degree) of\s+"

# Between two places: the second one begins something else, unless both are compared ("right greater than left").
_LIST_BREAK = re.compile(
    rf"[,;:(]|\bas well as\b|{_words('and with but while whereas', _RELATIVES, _EXPLANATIONS, _VERBS)}", re.IGNORECASE
)
_COMPARISON = re.compile(r"[<>]|\bthan\b", re.IGNORECASE)
# Between a phrase and a place after it: the place belongs to something else, unless a preposition precedes it.
_CONNECTION_END = re.compile(
    rf"[,;:]|{_words('with without and or no', _CONTRASTS, _RELATIVES, _EXPLANATIONS)}|\b(?:of|for)\s*$", re.IGNORECASE
)
_LOCATIVE_END = re.compile(
    rf"{_words(_PREPOSITIONS)}(?:\s+(?:the|a|an|both|most|region|area|level|aspect|portion|side))*\s*$", re.IGNORECASE
)
_CLAUSE_START = re.compile(rf"[,;]|{_words('and', _CONTRASTS)}", re.IGNORECASE)
_FOCUS = re.compile(
    _words(
        "primarily mostly mainly particularly especially predominantly most greater greatest worse worst larger largest"
    ),
    re.IGNORECASE,
)
# Between a place and a phrase after it: the place is not its attribute, but may be the subject of its clause.
_ATTRIBUTE_END = re.compile(
    r"[,;:()]|\s[-\u2013\u2014]\s"
    rf"|{_words('with without and or no than versus vs by for', _PREPOSITIONS, _VERBS, _CONTRASTS)}"
    rf"|{_words(_RELATIVES, _EXPLANATIONS)}",
    re.IGNORECASE,
)
_AMOUNTS = re.compile(rf"\b{_AMOUNT}", re.IGNORECASE)
_TOPIC_VERB = re.compile(
    rf"(?:(?!{_words('with', _RELATIVES)})[^,;])*?(?:{_words(_VERBS)}|:|\s-\s)|,\s*there\b", re.IGNORECASE
)
_OTHER_CLAUSE = re.compile(rf";|{_words(_CONTRASTS)}", re.IGNORECASE)
_TOPIC_END = re.compile(rf"{_OTHER_CLAUSE.pattern}|\band there\b|,\s*there\b", re.IGNORECASE)
_NEW_STATEMENT = re.compile(rf"{_OTHER_CLAUSE.pattern}|\bthere\b|\band (?:a|an|the)\b", re.IGNORECASE)
# Between two phrases: the second one says what the first one is, or both are in one list, or occur together.
_EXPLAINS = re.compile(
    rf"{_words(_EXPLANATIONS)}|[/?]|_{{2}}|\b(?:or|versus|vs|due to|secondary to|related to|combination of|in keeping"
    r"|indicat\w*|favou?r\w*|perhaps|maybe|probable|possible|question|questionable|presum\w*|xxxx)\b",
    re.IGNORECASE,
)
_ADJOINS = re.compile(r"[\s/-]+")
_JOINS = re.compile(rf"\s*(?:and|and/or|&|\+|/)\s+(?:{_AMOUNT})?", re.IGNORECASE)
_LISTS = re.compile(rf"\s*,\s*(?:and\s+)?|{_JOINS.pattern}", re.IGNORECASE)
_LIST_GOES_ON = re.compile(r"(?:\s*\w+)?\s*,\s*(?:\w+\s+){0,3}", re.IGNORECASE)
_OCCURS_WITH = re.compile(
    r"\s*,?\s*(?:with|and\s+(?:\w+\s+)?(?:associated|adjacent|overlying|underlying|compressive|accompanying|subjacent)"
    r"|accompanied by|associated with)\b[^,;:]*",
    re.IGNORECASE,
)
# After a phrase: it is another explanation of what is before it ("left opacity, although pneumonia is not excluded").
_ALTERNATIVE = re.compile(r"\s*(?:or|versus|vs)\b|/", re.IGNORECASE)
_NOT_EXCLUDED = re.compile(
    r"\s*(?:cannot|can not|could not|is not|are not|not)\s+(?:be\s+)?(?:\w+ly\s+)?excluded\b"
    r"|\s*(?:is|are)\s+(?:also\s+)?(?:possible|in the differential|a consideration)\b",
    re.IGNORECASE,
)
