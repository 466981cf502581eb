"""Compare what a text says about an earlier study with the changes of the findings since then."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from report_gen.auditing.priors import mentions_prior, remove_prior
from report_gen.labeling import finding_labeler
from report_gen.records import ChangeState, FindingSchema, Section, Sentence


def stated_change(sentence: str) -> ChangeState | None:
    """Return the change that a sentence states; None if it states none, several, or denies one ("has not improved")."""
    found = [(change, match) for change, cue in _CUES.items() for match in cue.finditer(sentence)]
    changes = {change for change, _ in found}
    if len(changes) != 1 or any(_DENIED.search(sentence, 0, match.start()) for _, match in found):
        return None
    return changes.pop()


def remove_contradicted_comparisons(
    sections: Sequence[Section], supported: Mapping[str, Collection[ChangeState]], schema: FindingSchema
) -> tuple[tuple[Section, ...], int]:
    """Remove from a report what it says about an earlier study unless the changes of its findings support it.

    A sentence keeps its comparison if it states one change, and every finding that it mentions may have this change.
    Otherwise only the words of the comparison are removed ("stable cardiomegaly"), or the sentence if nothing else
    remains.

    Args:
        sections: The generated sections.
        supported: Changes since the earlier study that each finding may have, by name. Empty without an earlier study,
            so that every comparison is removed.
        schema: The findings.

    Returns:
        The sections without these comparisons, and the number of sentences changed or removed.
    """
    changed, kept = 0, []
    for section in sections:
        sentences: dict[str, Sentence] = {}
        for sentence in section.sentences:
            text = sentence.text if _agrees(sentence.text, supported, schema) else remove_prior(sentence.text)
            changed += text != sentence.text
            if text:
                sentences.setdefault(text, replace(sentence, text=text))
        kept.append(replace(section, sentences=tuple(sentences.values())))
    return tuple(section for section in kept if section.sentences), changed


def _agrees(sentence: str, supported: Mapping[str, Collection[ChangeState]], schema: FindingSchema) -> bool:
    """Return whether a sentence is no comparison, or one that the changes support."""
    if not mentions_prior(sentence):
        return True
    stated = stated_change(sentence)
    findings = {statement.finding for statement in finding_labeler(schema).read_statements(sentence)}
    return stated is not None and bool(findings) and all(stated in supported.get(finding, ()) for finding in findings)


_HAS = r"(?:has|have) (?:\w+ )?"
_CUES: Mapping[ChangeState, re.Pattern[str]] = {
    change: re.compile(rf"\b(?:{'|'.join(words)})\b", re.IGNORECASE)
    for change, words in (
        (ChangeState.NEW, (r"new(?:ly)?", r"interval (?:development|appearance)", rf"{_HAS}(?:developed|appeared)")),
        (
            ChangeState.UNCHANGED,
            (
                r"unchanged|stable|again|still|similar|persist\w*|remain(?:s|ed|ing)?",
                r"(?:no|without) (?:(?:significant|appreciable|substantial|interval|relevant) )*change",
                r"re-?(?:demonstrat|identif|visuali[sz])\w+",
            ),
        ),
        (
            ChangeState.IMPROVED,
            (r"improv\w+|resolving|regress\w+|smaller", rf"{_HAS}decreased", r"decreas(?:ed|ing) in"),
        ),
        (
            ChangeState.WORSENED,
            (r"wors(?:e|en\w*)|progress\w+|larger", rf"{_HAS}(?:increased|enlarged|grown)", r"increas(?:ed|ing) in"),
        ),
        (ChangeState.RESOLVED, (r"resolved|resolution|no longer", rf"{_HAS}(?:cleared|disappeared)")),
    )
}
"""Words that state each change."""
_DENIED = re.compile(r"\b(?:no|not|without|nor|neither)\b[^,;]*$", re.IGNORECASE)
"""The end of the text before words that are denied."""
