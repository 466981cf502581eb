"""Compose reports: sections, findings, notices and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from report_gen import __version__
from report_gen.auditing import remove_contradicted_comparisons, remove_unsupported_sides
from report_gen.drafting.audit import draft_notices, user_notices
from report_gen.drafting.change_sentences import add_changes
from report_gen.drafting.conditioning_inputs import unknown_attributes
from report_gen.drafting.given_texts import given_sections, unused_notices
from report_gen.drafting.report_generator import GeneratedDraft, GeneratorInfo
from report_gen.drafting.request import DraftRequest
from report_gen.generation import Decoding
from report_gen.records import (
    DESCRIBING_SECTIONS,
    FORCED_PREFIX,
    Finding,
    FindingLocation,
    FindingSchema,
    InputFile,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    Study,
    split_sentences,
    strip_controls,
)
from report_gen.timestamp import creation_time

_BLANK_SECTIONS = (
    Section(SectionName.FINDINGS, (Sentence("The image is blank, so no finding can be described."),)),
    Section(SectionName.IMPRESSION, (Sentence("Nondiagnostic image."),)),
)

_UNCHECKED = "comparisons with the prior study follow its report; no image of it was compared"

_NO_CHANGE = "Whether a finding has changed could not be determined."
"""Sentence of the section COMPARISON. Without it, or with "no change", findings may seem unchanged."""


class ReportComposer:
    """Composes the reports of one model.

    Args:
        info: The model, which the provenance records.
    """

    def __init__(self, info: GeneratorInfo) -> None:
        self._info = info

    def compose(self, request: DraftRequest, draft: GeneratedDraft, *, decoding: Decoding) -> Report:
        """Return the report of a generated text, with the notice of the model, the given ones, and those of its audit.

        Differences from what the user set are named first: they are the ones that the user can judge at once.

        What the text says about an earlier study is removed unless it agrees with the changes since then. The changes
        are stated at the end of the findings. The comparisons of a model that got the report of the prior study, and
        decides about no changes, are kept and named in a notice.

        Args:
            request: The study, and the texts that the user stated.
            draft: The generated text, and what conditioned it.
            decoding: Options of the generation, for the provenance.
        """
        schema, comparison = self._info.schema, draft.comparison
        changes = {} if comparison is None else comparison.changes
        described, changed = self._describe(request.study, draft)
        states = [finding.state for finding in draft.findings]
        set_by_user = [finding.name for finding in draft.findings if finding.overridden]
        audited = draft_notices(
            described,
            states,
            schema,
            [finding.location for finding in draft.findings] if self._info.has_locations else (),
            set_by_user=set_by_user,
        )
        return Report(
            sections=(
                *given_sections(request, draft.prompt_values),
                *_comparison_section(draft.comparison_text, no_change=comparison is not None and not changes),
                *described,
            ),
            findings=draft.findings,
            notices=(
                *self._first_notices(draft.notices, user_notices(described, states, schema, set_by_user)),
                *unused_notices(request, draft.prompt_values),
                *changed,
                *audited,
            ),
            provenance=replace(
                self._provenance(request.study, decoding.options() | dict(draft.options)),
                comparison=None if comparison is None else comparison.record(),
                confidence=draft.confidence,
            ),
            attributes=draft.attributes,
        )

    def _describe(self, study: Study, draft: GeneratedDraft) -> tuple[tuple[Section, ...], tuple[str, ...]]:
        """Return the sections that describe the images, and notices about what differs from the generated text."""
        schema, comparison = self._info.schema, draft.comparison
        changes = {} if comparison is None else comparison.changes
        supported = {} if comparison is None else comparison.supported
        generated = tuple(section for section in draft.text.sections if section.name in DESCRIBING_SECTIONS)
        described, compared = remove_contradicted_comparisons(generated, supported, schema)
        unchecked = bool(compared) and draft.knows_prior_report
        if unchecked:
            described, compared = generated, 0
        described, unsided = _remove_unknown_sides(described, study, draft.findings, schema)
        changed = _change_notices(draft, compared=compared, unsided=unsided, composed=len(changes))
        return add_changes(described, changes), (*((_UNCHECKED,) if unchecked else ()), *changed)

    def compose_blank(self, request: DraftRequest, *, notices: Sequence[str], decoding: Decoding) -> Report:
        """Return the report of a study whose images show nothing. A model would invent a text about them.

        Args:
            request: The study, and the texts that the user stated.
            notices: Notices about the study.
            decoding: Options of the drafter, for the provenance.
        """
        return Report(
            sections=(*given_sections(request, {}), *_BLANK_SECTIONS),
            findings=self._info.unknown_findings(),
            notices=self._first_notices(notices),
            provenance=replace(self._provenance(request.study, decoding.options()), endpoint=""),  # nothing was sent
            attributes=unknown_attributes(self._info.attributes),
        )

    def _first_notices(self, notices: Sequence[str], of_user: Sequence[str] = ()) -> tuple[str, ...]:
        """Return the notices about a study, after those of a forced draft, of what the user set, and of the model."""
        own = filter(None, [self._info.notice])
        forced = [notice for notice in notices if notice.startswith(FORCED_PREFIX)]
        return (*forced, *of_user, *own, *(notice for notice in notices if notice not in forced))

    def _provenance(self, study: Study, options: Mapping[str, str | int | float | bool]) -> Provenance:
        info = self._info
        machine: dict[str, str | int] = {"device": info.device, "dtype": info.dtype, "threads": torch.get_num_threads()}
        return Provenance(
            model_name=self._info.name,
            weights_sha256=self._info.weights_sha256,
            model_revision=self._info.revision,
            endpoint=self._info.remote,
            program_version=__version__,
            created=creation_time().isoformat(timespec="seconds"),
            study_instance_uid=study.study_instance_uid,
            inputs=tuple(
                InputFile(sha256=image.sha256, sop_instance_uid=image.sop_instance_uid) for image in study.images
            ),
            decoding={**options, **(machine if info.device else {})},
            preprocessing=tuple(step.model_dump() for step in self._info.preprocessing),
        )


def _change_notices(draft: GeneratedDraft, *, compared: int, unsided: int, composed: int) -> Iterator[str]:
    """Yield what differs between the draft and the text that the model would have generated.

    Args:
        draft: The generated text.
        compared: Sentences without a comparison that they had.
        unsided: Sentences without a side that they had, because the sides of the patient are not known.
        composed: Sentences that were added.
    """
    text = draft.text
    if not text.ended:
        yield f"the text is incomplete: it was cut at {draft.max_report_tokens} tokens; complete it by hand"
    if text.removed:
        yield f"{_sentences(text.removed)} removed: no predicted finding supports the text"
    if text.contradicting:
        yield f"{_sentences(text.contradicting)} removed: another modality, plane or body part was named"
    if text.unsided:
        yield f"{_sentences(text.unsided)} shortened or removed: the side was not predicted; check left and right"
    if unsided:
        yield f"{_sentences(unsided)} shortened or removed: the sides of the patient are not known"
    if compared:
        yield f"{_sentences(compared)} shortened or removed: the comparison with an earlier study has no support"
    if composed:
        yield f"{_sentences(composed)} added by rule: changes since the prior study, from the findings of both"


def _remove_unknown_sides(
    sections: Sequence[Section], study: Study, findings: Sequence[Finding], schema: FindingSchema
) -> tuple[tuple[Section, ...], int]:
    """Remove sides that the user did not set if an image is a slice whose position in the patient is not known.

    Without the position, nothing says whether left is on the right of the image.

    Returns:
        The sections, and the number of sentences changed or removed.
    """
    if not any(image.plane is None and image.plane_problem for image in study.images):
        return tuple(sections), 0
    known = [finding.location if finding.location_overridden else FindingLocation() for finding in findings]
    return remove_unsupported_sides(sections, known, schema)


def _sentences(count: int) -> str:
    return "1 sentence was" if count == 1 else f"{count} sentences were"


def _comparison_section(text: str, *, no_change: bool) -> tuple[Section, ...]:
    """Return the section COMPARISON; `no_change`: the studies were compared, and the draft states no change."""
    sentences = split_sentences(strip_controls(text))
    if no_change and sentences and not sentences[-1].text.endswith((".", "!", "?")):
        sentences = (*sentences[:-1], Sentence(f"{sentences[-1].text}."))
    sentences += (Sentence(_NO_CHANGE),) if no_change else ()
    return (Section(SectionName.COMPARISON, sentences),) if sentences else ()
