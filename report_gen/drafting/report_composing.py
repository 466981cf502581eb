"""Compose reports: sections, findings, notices and provenance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import torch

from report_gen import __version__
from report_gen.auditing import remove_contradicted_comparisons
from report_gen.drafting.audit import draft_notices
from report_gen.drafting.change_sentences import add_changes
from report_gen.drafting.comparison import StudyComparison
from report_gen.drafting.conditioning_inputs import unknown_attributes
from report_gen.drafting.token_budget import FittedPrompt
from report_gen.generation import Decoding, GeneratedText
from report_gen.model import Checkpoint
from report_gen.records import (
    Attribute,
    Finding,
    FindingState,
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


class ReportComposer:
    """Composes the reports of one checkpoint.

    Args:
        checkpoint: Model whose name and weights the provenance records.
        device: Device that the model runs on.
        dtype: Floating-point type that the model runs with.
    """

    def __init__(self, checkpoint: Checkpoint, *, device: torch.device, dtype: torch.dtype) -> None:
        self._checkpoint, self._device, self._dtype = checkpoint, device, dtype

    def compose(
        self,
        study: Study,
        *,
        findings: tuple[Finding, ...],
        attributes: tuple[Attribute, ...],
        text: GeneratedText,
        prompt: FittedPrompt,
        notices: Sequence[str],
        decoding: Decoding,
        comparison: StudyComparison | None = None,
        comparison_text: str = "",
    ) -> Report:
        """Return the report of a generated text, with the notice of the model, the given ones, and those of its audit.

        What the text says about an earlier study is removed unless it agrees with the changes since then. The changes
        are stated at the end of the findings.

        Args:
            study: The study.
            findings: Findings as they condition the decoder.
            attributes: Attributes as they condition the decoder.
            text: The generated text.
            prompt: The prompt, whose values may have been shortened.
            notices: Notices about the study; those of the audit follow.
            decoding: Options of the generation, for the provenance.
            comparison: The prior study, and the changes since then; None without one.
            comparison_text: Text of the section COMPARISON; without it there is no such section.
        """
        config = self._checkpoint.model.config
        changes = {} if comparison is None else comparison.changes
        supported = {} if comparison is None else comparison.supported
        described, compared = remove_contradicted_comparisons(text.sections, supported, config.finding_schema)
        described = add_changes(described, changes)
        audited = draft_notices(
            "\n".join(section.text for section in described),
            [finding.state for finding in findings],
            config.finding_schema,
            [finding.location for finding in findings] if config.locations is not None else (),
        )
        changed = _change_notices(text, prompt, compared=compared, composed=len(changes))
        return Report(
            sections=(*_comparison_section(comparison_text), *described),
            findings=findings,
            notices=(*self._own_notice(), *notices, *prompt.notices, *changed, *audited),
            provenance=replace(
                self._provenance(study, decoding.options() | _budget(prompt)),
                comparison=None if comparison is None else comparison.record(),
            ),
            attributes=attributes,
        )

    def compose_blank(self, study: Study, *, notices: Sequence[str], decoding: Decoding) -> Report:
        """Return the report of a study whose images show nothing. A model would invent a text about them.

        Args:
            study: The study.
            notices: Notices about the study.
            decoding: Options of the drafter, for the provenance.
        """
        config = self._checkpoint.model.config
        return Report(
            sections=_BLANK_SECTIONS,
            findings=tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in config.finding_schema.findings),
            notices=(*self._own_notice(), *notices),
            provenance=self._provenance(study, decoding.options()),
            attributes=unknown_attributes(config.attributes),
        )

    def _own_notice(self) -> tuple[str, ...]:
        """Return the notice of the model, which every draft has; nothing if it has none."""
        notice = self._checkpoint.model.config.notice
        return (notice,) if notice else ()

    def _provenance(self, study: Study, options: Mapping[str, str | int | float | bool]) -> Provenance:
        machine: dict[str, str | int] = {
            "device": self._device.type,
            "dtype": str(self._dtype).removeprefix("torch."),
            "threads": torch.get_num_threads(),
        }
        return Provenance(
            model_name=self._checkpoint.model.config.name,
            weights_sha256=self._checkpoint.weights_sha256,
            program_version=__version__,
            created=creation_time().isoformat(timespec="seconds"),
            study_instance_uid=study.study_instance_uid,
            inputs=tuple(
                InputFile(sha256=image.sha256, sop_instance_uid=image.sop_instance_uid) for image in study.images
            ),
            decoding={**options, **machine},
            preprocessing=tuple(step.model_dump() for step in self._checkpoint.model.config.preprocessing),
        )


def _change_notices(text: GeneratedText, prompt: FittedPrompt, *, compared: int, composed: int) -> Iterator[str]:
    """Yield what differs between the draft and the text that the model would have generated.

    Args:
        text: The generated text.
        prompt: The prompt.
        compared: Sentences without a comparison that they had.
        composed: Sentences that were added.
    """
    if not text.ended:
        yield f"the text was cut at its limit of {prompt.max_report_tokens} tokens and is incomplete"
    if text.removed:
        yield f"sentences removed because the model cannot detect what they describe: {text.removed}"
    if text.contradicting:
        yield f"sentences removed because they name another modality, plane or body part: {text.contradicting}"
    if text.unsided:
        yield (
            "sentences changed or removed because they name a side that the draft was not conditioned on: "
            f"{text.unsided}"
        )
    if compared:
        yield f"sentences changed or removed because they compare with an earlier study without support: {compared}"
    if composed:
        yield (
            "sentences about changes since the prior study that were composed from the findings of both studies, and "
            f"not generated: {composed}"
        )


def _comparison_section(text: str) -> tuple[Section, ...]:
    sentences = split_sentences(strip_controls(text))
    return (Section(SectionName.COMPARISON, sentences),) if sentences else ()


def _budget(prompt: FittedPrompt) -> dict[str, str | int | float | bool]:
    """Return how the positions of the decoder were divided, for the provenance."""
    return {
        "max_tokens": prompt.max_report_tokens,
        "prompt_tokens": len(prompt.token_ids),
        "prompt_shortened": bool(prompt.notices),
    }
