"""What is wrong with a text, told from the text alone: invented priors, marks of de-identification, sides, contradictions.

Training cleans its texts with these checks and drafting flags its drafts. They need no image, so they cannot say that a
sentence is true; they say that it could not be known from one study, or that two sentences cannot both be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from report_gen.findings import Mention, find_mentions, sentence_spans
from report_gen.report import FindingState
from report_gen.study import Laterality


class FlagKind(StrEnum):
    PRIOR = "prior"
    """Speaks of an earlier study, which a draft from one study cannot know."""
    DEIDENTIFICATION = "de-identification"
    """Carries a gap that de-identification left."""
    CONTRADICTION = "contradiction"
    """Denies what another sentence states."""
    REPETITION = "repetition"
    """Says again what an earlier sentence said."""


@dataclass(frozen=True)
class Flag:
    """One thing wrong with one sentence."""

    kind: FlagKind
    sentence: str
    reason: str


@dataclass(frozen=True)
class Contradiction:
    """Two sentences of which one states the finding and the other denies it."""

    finding: str
    present: str
    absent: str


def audit_text(text: str) -> tuple[Flag, ...]:
    """Everything wrong with a text, sentence by sentence; contradictions and repetitions at the end."""
    flags = [flag for sentence in _sentences(text) for flag in _audit_sentence(sentence)]
    flags += [
        Flag(FlagKind.CONTRADICTION, found.absent, f"denies {found.finding}, which is stated in: {found.present}")
        for found in contradictions(text)
    ]
    flags += [
        Flag(FlagKind.REPETITION, sentence, "says again what an earlier sentence said")
        for sentence in repeated_sentences(text)
    ]
    return tuple(flags)


def mentions_prior(sentence: str) -> bool:
    """Whether a sentence speaks of an earlier study or of change since then ("No prior for comparison" does too)."""
    return _PRIOR.search(_NOT_PRIOR.sub(" ", sentence)) is not None


def has_deidentification_mark(text: str) -> bool:
    """Whether a text carries XXXX, ___, [**...**] or another gap that de-identification left."""
    return _DEIDENTIFIED.search(text) is not None


def mentions_side(sentence: str) -> bool:
    """Whether a sentence names a side: left, right or both."""
    return _SIDE.search(sentence) is not None


def contradictions(text: str) -> tuple[Contradiction, ...]:
    """Findings stated in one sentence and denied in another, for sides that can meet.

    Only findings named, or a heart said to be normal, are compared: "lungs are clear" beside a nodule is loose speech. A
    denial of some kind only ("no large effusion", "no acute fracture") leaves room for another kind.
    """
    said = [(sentence, mention) for sentence in _sentences(text) for mention in _comparable(sentence)]
    stated = [(sentence, mention) for sentence, mention in said if mention.state is FindingState.PRESENT]
    denied = [(sentence, mention) for sentence, mention in said if mention.state is FindingState.ABSENT]
    found = {
        Contradiction(mention.finding, stating, denying): None
        for stating, mention in stated
        for denying, other in denied
        if stating != denying and mention.finding == other.finding and _sides_meet(mention, other)
    }
    return tuple(found)


def repeated_sentences(text: str) -> tuple[str, ...]:
    """Sentences that say, but for case, stops and numbering, what an earlier sentence of the text said."""
    seen: set[str] = set()
    repeated = []
    for sentence in _sentences(text):
        words = " ".join(re.findall(r"[^\W\d_]+", sentence.lower()))
        if words and words in seen:
            repeated.append(sentence)
        seen.add(words)
    return tuple(repeated)


_PRIOR = re.compile(
    r"\b(?:prior|priors|previous|previously|earlier|compar(?:ed|ison|isons|able|ing|e)|unchanged|no longer|interval"
    r"|intervally|again|still|redemonstrat\w+|re-demonstrat\w+|re-?identified|stable|stability|since|now|new|newly|old film\w*"
    r"|recurrent|recurrence|persist\w*|remain|remains|remained|remaining|continue[ds]?|continuing|resolv\w+|resolution"
    r"|improv\w+|worsen\w*|progress\w+|regress\w+|decreas(?:ed|ing) (?:in|from|since|compared)|increas(?:ing|ed) (?:in size|from|since|compared|when)"
    r"|(?:has|have) (?:\w+ )?(?:increased|decreased|cleared|developed|enlarged|grown|appeared|disappeared|changed)"
    r"|more (?:prominent|pronounced|conspicuous|extensive) than|similar (?:to|in)|than (?:before|on the)|last (?:exam\w*|study|film)"
    r"|serial|follow-?up (?:of|to)|(?:no|without|not|minimal|little|any)(?: \w+){0,3} chang(?:e|es|ed)\b(?! of)"
    r"|(?:has|have) been (?:\w+ )?(?:removed|placed|advanced|withdrawn|exchanged|inserted)|removal|re-?positioned)\b",
    re.IGNORECASE,
)
# The same words about something other than an earlier study.
_NOT_PRIOR = re.compile(
    r"\b(?:(?:h(?:a)?emodynamically|clinically|medically) stable"
    r"|(?:prior|previous|old|remote) (?:\w+ ){0,2}?(?:granulomatous|surger\w+|trauma|infection|fractures?|sternotomy|cabg|resection)"
    r"|new york|within the interval|remaining (?:lungs?|osseous|bony|bones?|structures|visuali[sz]ed)"
    r"|remainder"
    r"|(?:recommend|suggest|consider|advise)\w*[^.]*\b(?:comparison|resolution|stability|follow-?up)"
    r"|progressive|high resolution|resolution (?:ct|chest))\b",
    re.IGNORECASE,
)
_DEIDENTIFIED = re.compile(
    r"x-?x{3,}|_{2,}|\[\*\*|\*\*\]|\[(?:name|date|redacted|removed|deidentified|de-identified)\]", re.IGNORECASE
)
_SIDE = re.compile(
    r"\b(?:left|right|(?:left|right)(?:ward|-sided|sided)|bilateral(?:ly)?|both (?:lungs?|sides|bases|apices|lower|upper|hemi\w+|costo\w+)"
    r"|bibasilar|bibasal|biapical|biventricular|lingula|lingular|middle lobe|[lr][lu]l|rml)\b",
    re.IGNORECASE,
)
_KIND_ONLY = re.compile(
    r"\b(?:large|larger|significant|sizeable|sizable|focal|acute|new|overt|frank|discrete|dense|confluent|increasing|enlarging|displaced"
    r"|other|additional|further|suspicious|definite|convincing|tension|gross|lobar|obvious|dominant|worrisome|noncalcified|enlarged)\b",
    re.IGNORECASE,
)


def _sentences(text: str) -> Iterator[str]:
    for start, end in sentence_spans(text):
        yield text[start:end]


def _audit_sentence(sentence: str) -> Iterator[Flag]:
    if mentions_prior(sentence):
        yield Flag(FlagKind.PRIOR, sentence, "speaks of an earlier study")
    if has_deidentification_mark(sentence):
        yield Flag(FlagKind.DEIDENTIFICATION, sentence, "carries a gap that de-identification left")


def _comparable(sentence: str) -> Iterator[Mention]:
    kind_only = _KIND_ONLY.search(sentence) is not None
    for mention in find_mentions(sentence):
        if mention.implied and mention.finding != "Cardiomegaly":
            continue
        if mention.state is FindingState.ABSENT and kind_only:
            continue
        yield mention


def _sides_meet(one: Mention, other: Mention) -> bool:
    sides = {one.laterality, other.laterality}
    return sides != {Laterality.LEFT, Laterality.RIGHT}
