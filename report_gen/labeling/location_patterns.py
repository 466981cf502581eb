"""Patterns of the text between places and phrases, by which `locations.py` decides what belongs together.

The words are those of any report in English. Words for places are in the vocabularies.
"""

from __future__ import annotations

import re


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
LIST_BREAK = re.compile(
    rf"[,;:(]|\bas well as\b|{_words('and with but while whereas', _RELATIVES, _EXPLANATIONS)}", re.IGNORECASE
)
# The second place is the subject of a clause, and continues no list ("opacity at the left base and at the apex").
SUBJECT_BREAK = re.compile(
    rf"(?:[,;]|{_words(_CONTRASTS)}|\band the\b)(?!.*{_words(_PREPOSITIONS)})", re.IGNORECASE | re.DOTALL
)
COMPARISON = re.compile(r"[<>]|\bthan\b", re.IGNORECASE)
# Between a phrase and a place after it: the place belongs to something else, unless a preposition precedes it.
CONNECTION_END = re.compile(
    rf"[,;:]|{_words('with without and or no', _CONTRASTS, _RELATIVES, _EXPLANATIONS)}|\b(?:of|for)\s*$", re.IGNORECASE
)
LOCATIVE_END = re.compile(
    rf"{_words(_PREPOSITIONS)}(?:\s+(?:the|a|an|both|most|region|area|level|aspect|portion|side))*\s*$", re.IGNORECASE
)
RELATION = re.compile(rf"{_words('with without and or')}|\bas well as\b", re.IGNORECASE)
CLAUSE_START = re.compile(rf"[,;]|{_words('and', _CONTRASTS)}", re.IGNORECASE)
FOCUS = re.compile(
    _words(
        "primarily mostly mainly particularly especially predominantly most greater greatest worse worst larger largest"
    ),
    re.IGNORECASE,
)
# Between a place and a phrase after it: the place is not its attribute, but may be the subject of its clause.
ATTRIBUTE_END = re.compile(
    r"[,;:()]|\s[-\u2013\u2014]\s"
    rf"|{_words('with without and or no than versus vs by for either', _PREPOSITIONS, _VERBS, _CONTRASTS)}"
    rf"|{_words(_RELATIVES, _EXPLANATIONS)}",
    re.IGNORECASE,
)
AMOUNTS = re.compile(rf"\b{_AMOUNT}", re.IGNORECASE)
TOPIC_VERB = re.compile(
    rf"(?:(?!{_words('with', _RELATIVES)})[^,;])*?(?:{_words(_VERBS)}|:|\s-\s)|,\s*there\b", re.IGNORECASE
)
OTHER_NOUN = re.compile(
    r"\s+(?!(?:lungs?|sides?|hemithorax|chest|thorax|lobes?|region|area|fields?|zones?)\b)(?!.*\b(?:is|are|shows?|there)\b)"
    r"\w[^,;:]*,",
    re.IGNORECASE | re.DOTALL,
)
THERE = re.compile(r"\s*,?\s*there\b", re.IGNORECASE)
OTHER_CLAUSE = re.compile(rf";|{_words(_CONTRASTS)}", re.IGNORECASE)
TOPIC_END = re.compile(rf"{OTHER_CLAUSE.pattern}|\band there\b|,\s*there\b", re.IGNORECASE)
NEW_STATEMENT = re.compile(rf"{OTHER_CLAUSE.pattern}|\bthere\b|\band (?:a|an|the)\b", re.IGNORECASE)
# Between two phrases: the second one says what the first one is, or both are in one list, or occur together.
EXPLAINS = re.compile(
    rf"{_words(_EXPLANATIONS, 'or either versus vs perhaps maybe probable possible question questionable')}|[/?]|_{{2}}"
    r"|\b(?:due to|secondary to|related to|caused by|attribut\w+ to|combination of|in keeping|concern for|looks? like"
    r"|diagnosed as|such as|which is|mostly|indicat\w*|favou?r\w*|presum\w*|xxxx)\b",
    re.IGNORECASE,
)
ADJOINS = re.compile(r"[\s/-]+")
JOINS = re.compile(rf"\s*(?:and|and/or|&|\+|/)\s+(?:{_AMOUNT})?", re.IGNORECASE)
LISTS = re.compile(rf"\s*,\s*(?:and\s+)?|{JOINS.pattern}", re.IGNORECASE)
LIST_GOES_ON = re.compile(r"(?:\s*\w+)?\s*(?:,|\band\b)\s*(?:\w+\s+){0,3}", re.IGNORECASE)
OCCURS_WITH = re.compile(
    r"(?:\s*,\s*now [^,;:]*?)?\s*,?\s*(?:with|accompanied by|associated with"
    r"|and\s+(?:\w+\s+)?(?:associated|adjacent|overlying|underlying|compressive|accompanying|subjacent))\b[^,;:]*",
    re.IGNORECASE,
)
EXCEPTION = re.compile(r"\b(?:except|apart from|aside from|other than|with the exception of|save for)\b", re.IGNORECASE)
# After a phrase: it is another explanation of what is before it ("left opacity, although pneumonia is not excluded").
ALTERNATIVE = re.compile(r"\s*(?:or|versus|vs)\b|/", re.IGNORECASE)
NOT_EXCLUDED = re.compile(
    r"(?:\s*(?:/|\b(?:or|and|from)\b)\s*(?:\w+\s+){1,3}?)?\s*(?:"
    r"(?:cannot|can not|could not|is not|are not|not)\s+(?:be\s+)?(?:\w+ly\s+)?excluded"
    r"|(?:is|are|remains?)\s+(?:also\s+)?(?:possible|(?:with)?in the differential|a consideration)"
    r"|(?:should|could|may|might)\s+(?:also\s+)?(?:be considered|have (?:this|a similar) appearance))\b",
    re.IGNORECASE,
)
# Before a phrase, with the same meaning.
CANNOT_EXCLUDE = re.compile(
    r"\b(?:not|cannot|difficult to|unable to)\s+(?:\w+ly\s+)?(?:exclude|rule out)\b", re.IGNORECASE
)
# Before a quality: it says something about the anatomy before the verb.
COPULA_BEFORE = re.compile(r"\b(?:is|are|was|were|appears?|remains?)\s+(?:\w+\s+)?$", re.IGNORECASE)
