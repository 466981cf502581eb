"""Remove the sides from a sentence, or the whole phrase that a side belongs to, so that a complete sentence remains.

* A finding loses the word: "small left effusion" becomes "small effusion".
* A place goes with its preposition: "an opacity in the left lower lobe" becomes "an opacity".
* A sentence about one of two organs is dropped: "The right lung is clear" does not mean that the lung is clear.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

from report_gen.auditing.fragments import is_fragment, tidy_sentence
from report_gen.auditing.laterality import mentions_side
from report_gen.labeling import chest_xray, finding_labeler
from report_gen.records import FindingSchema, Side, join_sides


class _Span(NamedTuple):
    start: int
    end: int


def remove_sides(sentence: str, schema: FindingSchema | None = None) -> str:
    """Return a sentence without sides, or an empty string if no complete sentence remains.

    Args:
        sentence: The sentence.
        schema: The findings; those of chest radiographs if not given.
    """
    text = _BOTH.sub("the ", _COMPARISON.sub(_comma_of_list, sentence))
    while match := _SIDE.search(text):
        start, end = _removed(text, match, _named_findings(text, schema or chest_xray()))
        if start < 0:
            return ""
        text = f"{text[:start]} {text[end:]}"
    text = " ".join(text.split()).lstrip(" ,;:")
    return "" if mentions_side(text) or is_fragment(text) else tidy_sentence(text)


def remove_places(sentence: str, schema: FindingSchema | None = None) -> str:
    """Return a sentence without sides and zones of its findings, or an empty string if no complete sentence remains.

    A sentence that names no zone of a finding keeps its zones: "the lung bases are clear".

    Args:
        sentence: The sentence.
        schema: The findings; those of chest radiographs if not given.
    """
    locations = finding_labeler(schema or chest_xray()).locate(sentence).values()
    if any(location.zones for location in locations):
        # A zone is removed like the side before it, with its preposition: "in the upper lobe" like "in the left base".
        sentence = _ZONE.sub("left base", _ZONE_ADJECTIVE.sub("left", sentence))
    return remove_sides(sentence, schema) if mentions_side(sentence) else sentence


def names_located_sides(sentence: str, schema: FindingSchema | None = None) -> bool:
    """Return whether every side that a sentence names is that of a finding that it states as present or uncertain.

    Args:
        sentence: The sentence; one without sides is true.
        schema: The findings; those of chest radiographs if not given.
    """
    if not mentions_side(sentence):
        return True
    labeler = finding_labeler(schema or chest_xray())
    stated = join_sides(*(location.side for location in labeler.locate(sentence).values()))
    mentioned = (mention.location.side for mention in labeler.find_mentions(sentence))
    named = join_sides(*mentioned, *(found.place.side for found in labeler.vocabulary.find_places(sentence)))
    return named is not Side.UNKNOWN and named is stated


_NOTHING = _Span(-1, -1)
"""The sentence cannot stand without its side."""

_FUNCTION_WORDS = (
    "the|a|an|and|or|nor|but|with|without|of|in|on|at|to|for|from|by|than|within|over|overlying|above|below|behind|near|adjacent"
    "|along|around|through|into|is|are|was|were|be|been|has|have|had|which|that|who|there|this|these|may|might|could|can"
    "|should|would|appears?|remains?|seems?|shows?|demonstrates?|represents?|suggests?|suggesting|consistent|compatible"
    "|concerning|suspicious|worrisome|due|secondary|likely|probably|possibly|versus|vs|as|again|also|not|no|greater|more"
    "|larger|less|noted|seen|identified|present|visualized|demonstrated|otherwise|measuring|positioned|clear|normal"
    "|unchanged|stable|most|best|better|suggestive|favored|reflecting|representing|indicating|extending|causing|where|when|whose"
    "|if|since|after|before|because|while|although|though|however|cannot|questioned|so"
)
_NOUNS = re.compile(rf"(?:[ -]+(?!(?:{_FUNCTION_WORDS}|left|right)\b)[\w/'-]+)*", re.IGNORECASE)
_ALONE = ("bilaterally", "bi", "bi-")
"""Sides that no noun follows."""
_NOUN = rf"(?!(?:{_FUNCTION_WORDS}|left|right)\b)[\w-]+ "
_SIDE = re.compile(
    r"\bbilaterally\b|\bbi-?(?=(?:basilar|basal|apical|hilar)\b)|\b(?:(?:right )?middle lobe|lingular?|[lr][lu]l|rml"
    r"|(?:left|right|bilateral|unilateral)(?:[- ]sided)?)\b",
    re.IGNORECASE,
)
_ZONE = re.compile(
    r"""\b(?:(?:left|right|both|bilateral)(?:[- ]sided)?\ )?(?:the\ )?
    (?:(?:medial|lateral|posterior|anterior|central|lung)\ )*
    (?:(?:upper|mid|middle|lower)(?:[ -](?:lung|lobe))?[ -](?:lobes?|lungs?|zones?|fields?|hemithorax|chest)
    |midlungs?|(?:lung\ )?(?:base|bases|apex|apices)|hilum|hila)\b""",
    re.IGNORECASE | re.VERBOSE,
)
_ZONE_ADJECTIVE = re.compile(
    r"""\b(?:(?:left|right|bilateral)\ )?
    (?:bi)?(?:basilar|basal|apical|perihilar|parahilar|suprahilar|infrahilar|retrocardiac)\b
    (?:\ (?:lung|regions?|areas?)\b)?""",
    re.IGNORECASE | re.VERBOSE,
)
_BOTH = re.compile(
    r"\bboth (?:the )?(?=lungs|lung bases|lung apices|bases|apices|lower|upper|hemi|costo|hila|pleural)", re.IGNORECASE
)
_COMPARISON = re.compile(
    r"[ ,]*\(?\b(?:left|right|[lr])(?: side)?(?: slightly| much| somewhat)?"
    r"(?:,? (?:greater|larger|more|worse)(?: \w+)? than |\s*[<>]\s*)(?:the )?(?:left|right|[lr])\b(?: side)?\)?,?",
    re.IGNORECASE,
)
_PLACE = re.compile(
    r"[ ,]*\b(?:(?:projecting|located) )?(?:in|on|at|to|within|over|overlying|involving|along|near"
    rf"|throughout|through|into)(?: in)?(?: the| a)?(?: (?!(?:{_FUNCTION_WORDS})\b)[\w-]+){{0,2}}"
    r"(?: (?:aspect|portion|region|area|part|side|level) of(?: the)?)? *$",
    re.IGNORECASE,
)
_NEXT_PLACE = re.compile(
    rf"\s*(?:,|,? and|,? or|/)\s*(?:(?:in|at|on|over|within) )?(?:the )?"
    rf"(?:(?:{_NOUN}){{0,2}}(?:left|right)\b{_NOUNS.pattern}|(?:{_NOUN}){{0,2}}(?!(?:{_FUNCTION_WORDS})\b)[\w-]+(?=[.,;]|$))",
    re.IGNORECASE,
)
_MORE_NOUNS = re.compile(rf"\s*(?:,|and|or|/){_NOUNS.pattern}", re.IGNORECASE)
_ADJECTIVE_ENDINGS = ("al", "ed", "y", "ic", "ar")
_TAKE_OBJECT = ("elevation", "eventration", "flattening", "blunting", "obscuration")
"""Findings that are incomplete without the organ."""
_HALVES = ("lung", "chest", "hemithorax", "thorax", "base", "apex", "lobe", "hilum", "side")
"""Organs and parts that would be the whole, or no part at all, without a side."""
_ADJUNCT = re.compile(r"[ -]+(?:base|apex|hemithorax|lung(?= (?!base|apex|zone|field|volume)))(?=[ -])", re.IGNORECASE)
_NEEDS_PLACE = re.compile(r"\b(?:(?:is|are|was|were|be)|(?:most|more) \w+)\s*$", re.IGNORECASE)


def _comma_of_list(comparison: re.Match[str]) -> str:
    """Return what remains of "effusions, right greater than left, and edema": one comma."""
    return "," if comparison[0].lstrip().startswith(",") and comparison[0].endswith(",") else ""


def _named_findings(text: str, schema: FindingSchema) -> list[_Span]:
    return [
        _Span(phrase.start, phrase.end)
        for phrase in finding_labeler(schema).vocabulary.find_phrases(text)
        if phrase.claims or phrase.denied
    ]


def _removed(text: str, side: re.Match[str], findings: Sequence[_Span]) -> _Span:
    """Return the part of the text that goes with a side, or `_NOTHING` if the sentence cannot stand without it."""
    word, name = _Span(side.start(), side.end()), side[0].lower()
    if name in _ALONE:
        return word
    noun_end = _end(_NOUNS, text, word.end)
    if text[word.end : noun_end].lower().endswith(_ADJECTIVE_ENDINGS):
        noun_end = _end(_MORE_NOUNS, text, noun_end)  # "left interstitial and alveolar opacity"
    if any(finding.start < noun_end and finding.end > word.start for finding in findings):
        return _Span(word.start, _end(_ADJUNCT, text, word.end))
    if name.startswith(("bilateral", "unilateral")):
        return word if noun_end > word.end else _NOTHING
    if place := _PLACE.search(text, 0, word.start):
        if _NEEDS_PLACE.search(text, 0, place.start()):
            return _NOTHING
        return _Span(place.start(), _list_end(text, noun_end, findings))
    return _removed_nouns(text, word, noun_end, findings)


def _removed_nouns(text: str, word: _Span, noun_end: int, findings: Sequence[_Span]) -> _Span:
    """Return what goes with a side before nouns that name no finding and follow no preposition."""
    nouns = text[word.end : noun_end].lower().split()
    if not nouns:
        return _NOTHING
    ends_sentence = not text[noun_end:].strip(" .;")
    for finding in filter(partial(_is_noun, text), findings):
        between = text[finding.end : word.start] if finding.end <= word.start else "-"
        if not between.strip(" ,") and ("," not in between or ends_sentence):  # else the next item of a list follows
            return _Span(word.start, _list_end(text, noun_end, findings))
    if nouns[-1].endswith("s"):
        return word
    needs_organ = text[: word.start].rstrip().lower().endswith(_TAKE_OBJECT)  # "elevation left hemidiaphragm"
    return _NOTHING if needs_organ or nouns[-1] in _HALVES or _is_subject(text, word.start) else word


def _end(pattern: re.Pattern[str], text: str, start: int) -> int:
    match = pattern.match(text, start)
    return match.end() if match else start


def _list_end(text: str, start: int, findings: Sequence[_Span]) -> int:
    """Return the end of a list of places, of which no one names a finding: `the left base and the right apex`."""
    while match := _NEXT_PLACE.match(text, start):
        if any(match.start() <= finding.start < match.end() for finding in findings):
            break
        start = match.end()
    return start


def _is_noun(text: str, finding: _Span) -> bool:
    """Return whether a finding is named by a noun: "atelectasis" is one, "elevated" is none."""
    return not text[finding.start : finding.end].lower().endswith(("ed", "ic", "al", *_TAKE_OBJECT))


def _is_subject(text: str, start: int) -> bool:
    """Return whether a noun phrase begins the text or has the definite article: "the right lung"."""
    before = text[:start].rstrip()
    return not before or before.lower().endswith((" the", ".", ":")) or before.lower() == "the"
