"""What is wrong with a text, told from the text alone: invented priors, de-identification marks, contradictions.

Training cleans its texts with these checks and drafting flags its drafts. They need no image, so they cannot say that a
sentence is true; they say that it could not be known from one study, or that two sentences cannot both be.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from report_gen.labeling.labeler import Mention, find_mentions, sentence_spans
from report_gen.records.findings import FindingState
from report_gen.records.study import Laterality


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


def replace_deidentification_marks(text: str, replacement: str) -> str:
    """The text with each gap that de-identification left written as `replacement`."""
    return _DEIDENTIFIED.sub(lambda _: replacement, text)


def mentions_side(sentence: str) -> bool:
    """Whether a sentence names a side: left, right or both."""
    return _SIDE.search(sentence) is not None


def contradictions(text: str) -> tuple[Contradiction, ...]:
    """Findings stated in one sentence and denied in another, for sides that can meet.

    Only findings named, or a heart said to be normal, are compared: "lungs are clear" beside a nodule is loose speech.
    A denial of some kind only ("no large effusion", "no acute fracture") leaves room for another kind, and findings of
    many kinds must be called by the same word.
    """
    said = [(sentence, mention) for sentence in _sentences(text) for mention in _comparable(sentence)]
    stated = [(sentence, mention) for sentence, mention in said if mention.state is FindingState.PRESENT]
    denied = [(sentence, mention) for sentence, mention in said if mention.state is FindingState.ABSENT]
    found = {
        Contradiction(mention.finding, stating, denying): None
        for stating, mention in stated
        for denying, other in denied
        if stating != denying and mention.finding == other.finding and _sides_meet(mention, other)
        if mention.finding not in _OF_MANY_KINDS or _head(stating, mention) == _head(denying, other)
    }
    return tuple(found)


def repeated_sentences(text: str) -> tuple[str, ...]:
    """Sentences that say, but for case, stops and numbering, what an earlier sentence of the text said."""
    seen: set[str] = set()
    repeated = []
    for sentence in _sentences(text):
        words = " ".join(re.findall(r"[^\W_]+", _NUMBERING.sub("", sentence).lower()))
        if words in seen:
            repeated.append(sentence)
        elif words:
            seen.add(words)
    return tuple(repeated)


_PRIOR = re.compile(
    r"""\b(?:
        priors? | previous(?:ly)? | earlier | formerly | as\ before | last\ (?:exam\w*|study|film|radiograph)
      | compar(?:ed?|ing|isons?|able) | old\ (?:films?|exam\w*|stud(?:y|ies)) | serial | baseline
      | similar\ (?:to|in) | than\ (?:before|on)
      | unchanged | stable | stability | interval(?:ly)? | again | still | now | new(?:ly)? | since  # change, or none
      | no\ longer | re-?(?:demonstrat|identif|visuali[sz])\w+ | re-?positioned
      | (?:no|not|without|little|minimal)\ (?:(?:significant|appreciabl|substantial|relevant)\w*\ )*chang(?:ed?|es)
      | persist\w* | remain(?:s|ed|ing)? | continu(?:e|es|ed|ing) | recurren(?:t|ce)
      | improv\w+ | worsen\w* | wors(?:e|t) | progress\w+ | developing | regress\w+ | resolv\w+ | resolution | evolv\w+
      | (?:in|de)creas(?:ed|ing)\ (?:in\ (?:size|extent|number)|from|since|compared)
      | (?:has|have)\ (?:also\ |slightly\ |markedly\ |significantly\ )?
        (?:(?:in|de)creased|cleared|developed|enlarged|grown|(?:dis)?appeared|changed)
      | (?:has|have)\ been\ (?:\w+\ )?(?:removed|placed|advanced|withdrawn|exchanged|inserted|retracted) | removal
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
# The same words about something other than an earlier study.
_NOT_PRIOR = re.compile(
    r"""\b(?:
        (?:ha?emodynamically|clinically|medically|neurologically)\ (?:un)?stable | stable\ (?:patient|condition)
      | (?:prior|previous|remote)\ (?:[\w-]+\ ){0,2}?
        (?:surger\w+|trauma|injur\w+|infection|fractures?|sternotomy|cabg|resection|granulomatous|disease)
      | remaining\ (?:lungs?|osseous|bon[ey]s?|structures|visuali[sz]ed|mediastinal) | remainder
      | high[\ -]resolution | now\ recommended
      | (?:recommend|suggest|advise|consider)\w*\b[^.]*  # what ought to be compared later
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_NUMBERING = re.compile(r"^\s*\d+[.)](?:\s+|$)")
_DEIDENTIFIED = re.compile(
    r"x-?x{3,} | _{2,} | \[\*\*.*?\*\*\] | \[\*\* | \*\*\]"
    r" | [\[<]\s*(?:name|date|redacted|removed|de-?identified|phi)\s*[\]>]",
    re.IGNORECASE | re.VERBOSE,
)
_SIDE = re.compile(
    r"""\b(?:
        left | right | (?:left|right)(?:ward|sided) | bilateral(?:ly)? | unilateral(?:ly)?
      | both\ (?:lungs?|sides|bases|apices|lower|upper|hemi\w+|costo\w+|hila|pleural)
      | bibasilar | bibasal | biapical | bihilar | lingular? | middle\ lobe | [lr][lu]l | rml
    )\b""",
    re.IGNORECASE | re.VERBOSE,
)
_OF_MANY_KINDS = {"Lung Opacity", "Lung Lesion", "Pleural Other", "Fracture", "Support Devices"}
_STEM = 5
"""Letters of a word that stay the same in the plural."""
# A denial of one kind leaves room for another.
_OF_SOME_KIND = re.compile(
    r"""\b(?:
        large[r]? | significant | siz(?:e)?able | massive | focal | lobar | discrete | dense | confluent | acute | new
      | overt | frank | gross | obvious | dominant | displaced | tension | increasing | enlarging | other | additional
      | further | residual | suspicious | worrisome | noncalcified | definite | convincing | superimposed
    )\b""",
    re.IGNORECASE | re.VERBOSE,
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
    of_some_kind = _OF_SOME_KIND.search(sentence) is not None
    for mention in find_mentions(sentence):
        loose = mention.implied and mention.finding != "Cardiomegaly"
        if not loose and not (of_some_kind and mention.state is FindingState.ABSENT):
            yield mention


def _head(sentence: str, mention: Mention) -> str:
    """The last word of a phrase without its ending: `opacities` is `opacity`, and not `infiltrate`."""
    return sentence[mention.start : mention.end].lower().split()[-1][:_STEM]


def _sides_meet(one: Mention, other: Mention) -> bool:
    return {one.laterality, other.laterality} != {Laterality.LEFT, Laterality.RIGHT}
