"""Find sentences about findings and sides that a model does not predict.

A decoder learns sentences about devices, bones or the aorta from its training texts, even if the model cannot detect
them in an image. In a draft these sentences are inventions.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from report_gen.auditing.fragments import is_fragment
from report_gen.auditing.laterality import mentions_side
from report_gen.auditing.side_removal import names_located_sides, remove_sides
from report_gen.labeling import finding_labeler
from report_gen.records import FindingLocation, FindingSchema, FindingState, Section, Sentence


def is_unsupported(sentence: str, supported: Collection[str], schema: FindingSchema) -> bool:
    """Return whether a sentence states a finding that the model does not predict, or nothing that it predicts.

    A sentence is unsupported if it calls an unpredicted finding of the schema present or uncertain ("A pacemaker is
    seen."), or if every finding that it mentions, also to deny it, is unpredicted or outside the schema ("The bones are
    intact.", "Degenerative changes of the spine."). A sentence that mentions no finding at all is supported, unless it
    is a fragment ("There may be of the of the size.").

    Args:
        sentence: One sentence of a draft.
        supported: Names of the findings that the model predicts or a reader has set.
        schema: The findings of the model.
    """
    statements = finding_labeler(schema).read_statements(sentence)
    known = {*supported, schema.normal}
    asserted = {statement.finding for statement in statements if statement.state.is_stated}
    if any(finding in schema.stated and finding not in known for finding in asserted):
        return True
    if not statements:
        return is_fragment(sentence)
    return all(statement.finding not in known for statement in statements)


def remove_unsupported(
    sections: Sequence[Section], states: Sequence[FindingState], schema: FindingSchema
) -> tuple[tuple[Section, ...], int]:
    """Remove the unsupported sentences of a generated report, see `is_unsupported`.

    A model that predicts no finding at all, for example one conditioned on patches alone, keeps every sentence.

    Args:
        sections: The generated sections.
        states: The finding states [F] that conditioned the decoder.
        schema: The F findings of the model.

    Returns:
        The sections without these sentences, and the number of sentences removed.
    """
    supported = {name for name, state in zip(schema.findings, states, strict=True) if state is not FindingState.UNKNOWN}
    if not supported:
        return tuple(sections), 0
    kept = [
        replace(section, sentences=tuple(s for s in section.sentences if not is_unsupported(s.text, supported, schema)))
        for section in sections
    ]
    removed = sum(len(section.sentences) for section in sections) - sum(len(section.sentences) for section in kept)
    return tuple(section for section in kept if section.sentences), removed


def remove_unsupported_sides(
    sections: Sequence[Section], locations: Sequence[FindingLocation], schema: FindingSchema
) -> tuple[tuple[Section, ...], int]:
    """Remove the sides that a generated report names although the decoder was not conditioned on them.

    A sentence loses its sides if it states a finding on a side that the location of the finding does not contain, or if
    it names the side of anything else. A sentence that is incomplete without its sides is removed.

    Args:
        sections: The generated sections.
        locations: The locations [F] that conditioned the decoder.
        schema: The F findings of the model.

    Returns:
        The sections without these sides, and the number of sentences changed or removed.
    """
    known = dict(zip(schema.findings, locations, strict=True))
    changed, kept = 0, []
    for section in sections:
        sentences: dict[str, Sentence] = {}
        for sentence in section.sentences:
            is_known = _sides_are_known(sentence.text, known, schema)
            text = sentence.text if is_known else remove_sides(sentence.text, schema)
            changed += text != sentence.text
            if text:
                sentences.setdefault(text, replace(sentence, text=text))
        kept.append(replace(section, sentences=tuple(sentences.values())))
    return tuple(section for section in kept if section.sentences), changed


def _sides_are_known(sentence: str, known: Mapping[str, FindingLocation], schema: FindingSchema) -> bool:
    if not mentions_side(sentence):
        return True
    if not names_located_sides(sentence, schema):
        return False
    stated = finding_labeler(schema).locate(sentence)
    return all(location.sides <= known[name].sides for name, location in stated.items())
