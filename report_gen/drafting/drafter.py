"""The whole story in one class: a study in, a draft report out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen import __version__
from report_gen.auditing.text_audit import FlagKind, audit_text
from report_gen.config import STATES
from report_gen.drafting.conditioning_inputs import (
    check_attributes,
    resolve_attributes,
    resolve_findings,
    resolve_overrides,
    unknown_attributes,
)
from report_gen.drafting.preprocessing import Prepared, StudyPreprocessor
from report_gen.errors import StudyError, UsageError
from report_gen.generation import DEFAULT_DECODING, Decoding, GeneratedText, generate, mismatched_findings
from report_gen.labeling.attributes import header_values
from report_gen.model import Checkpoint, load_checkpoint
from report_gen.model.projector import VisualFeatures
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.heatmap import Heatmap
from report_gen.records.report import (
    Attribute,
    Finding,
    InputFile,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
)
from report_gen.records.study import Study

EMBEDDED = Path(__file__).parents[1] / "pretrained" / "chest_xray"
"""The checkpoint that comes with the package."""

_BLANK = (
    Section(SectionName.FINDINGS, (Sentence("The image is blank, so no finding can be described."),)),
    Section(SectionName.IMPRESSION, (Sentence("Nondiagnostic image."),)),
)


_TELLING = (FlagKind.PRIOR, FlagKind.CONTRADICTION)
"""Flaws that a reader must know of; a repetition speaks for itself."""


class Drafter:
    """Drafts reports with one checkpoint.

    >>> report = Drafter.load().draft(read_study(Path("study.dcm")))  # doctest: +SKIP
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | torch.device = "cpu") -> None:
        self._checkpoint = checkpoint
        self._device = torch.device(device)
        self._model = checkpoint.model.to(self._device).eval()
        self._preparer = StudyPreprocessor(checkpoint)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str] | None = None, *, device: str | torch.device = "cpu", dtype: str = "auto"
    ) -> Drafter:
        """Load a checkpoint onto a device.

        Args:
            folder: checkpoint folder. Default: the embedded checkpoint.
            device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`.
            dtype: `auto`, `float32` or `bfloat16`.

        Returns:
            A drafter with the model of the checkpoint.

        Raises:
            CheckpointError: the checkpoint is missing, altered or does not fit.
            UsageError: the device or the type is unknown or not available.
        """
        # The embedded and all other checkpoints run on the CPU in float32 until devices are resolved here.
        device = "cpu" if device == "auto" else device
        return cls(load_checkpoint(EMBEDDED if folder is None else folder), device=device)

    @property
    def reported(self) -> frozenset[str]:
        """Findings whose probability the model gives: those that it was taught."""
        known = self._model.config.findings.reported
        return frozenset(name for name, is_reported in zip(self.schema.findings, known, strict=True) if is_reported)

    @property
    def schema(self) -> FindingSchema:
        """The findings that the model speaks of."""
        return self._model.config.finding_schema

    def draft(
        self,
        study: Study,
        *,
        decoding: Decoding | None = None,
        overrides: Mapping[str, FindingState] | None = None,
        attributes: Mapping[str, str] | None = None,
        indication: str | None = None,
    ) -> Report:
        """Draft the report of one study.

        Args:
            study: the study, from `read_study` or `read_studies`.
            decoding: as in `draft_all`.
            overrides: as in `draft_all`.
            attributes: as in `draft_all`.
            indication: as in `draft_all`.

        Returns:
            The draft, with its findings, notices and provenance.

        Raises:
            StudyError: the study cannot be read.
        """
        (result,) = self.draft_all(
            [study], decoding=decoding, overrides=overrides, attributes=attributes, indication=indication
        )
        if isinstance(result, StudyError):
            raise result
        return result

    def draft_all(
        self,
        studies: Sequence[Study],
        *,
        decoding: Decoding | None = None,
        overrides: Mapping[str, FindingState] | None = None,
        attributes: Mapping[str, str] | None = None,
        indication: str | None = None,
        batch_size: int = 8,
        blank: bool = False,
    ) -> Iterator[Report | StudyError]:
        """Draft many studies: a report each, in order, or the error for which that study alone is refused.

        Args:
            studies: the studies, from `read_study` or `read_studies`.
            decoding: how the text is written; the best of beam search and samples by default.
            overrides: states by finding name that a reader sets over what the model saw.
            attributes: values by attribute name that a reader sets over header and image, "" for unknown.
            indication: why the study was asked for; a study's own indication by default.
            batch_size: B, studies that go through the model together.
            blank: show the model plain grey in place of every image, to learn what it writes without looking.

        Returns:
            Reports and errors in the order of the studies, each as soon as its batch is drafted.

        Raises:
            UsageError: an override names a finding or an attribute that the model does not know.
        """
        decoding, overrides, attributes = decoding or DEFAULT_DECODING, overrides or {}, attributes or {}
        self._check_overrides(overrides, attributes)
        overrides = resolve_overrides(overrides, self.schema)
        for start in range(0, len(studies), batch_size):
            prepared = [
                self._preparer.prepare(study, indication=indication, blank=blank)
                for study in studies[start : start + batch_size]
            ]
            seen = [item for item in prepared if isinstance(item, Prepared) and not item.is_blank]
            reports = iter(self._draft_batch(seen, decoding, overrides, attributes) if seen else ())
            for item in prepared:
                if isinstance(item, StudyError):
                    yield item
                elif item.is_blank:
                    yield self._blank_report(item, decoding)
                else:
                    yield next(reports)

    def _check_overrides(self, overrides: Mapping[str, FindingState], attributes: Mapping[str, str]) -> None:
        if (overrides or attributes) and self._model.config.conditioning == "numbers":
            raise UsageError(
                "a model that reads numbers is told no findings and no attributes, so none can be overruled; "
                "use one of conditioning prefix or cross_attention"
            )
        check_attributes(attributes, self._model.config.attributes)

    @torch.inference_mode()
    def features(self, studies: Sequence[Study], *, batch_size: int = 8) -> Iterator[NDArray[np.float64] | StudyError]:
        """What the encoder makes of the images of each study, on average over views and patches: [D_img], in order."""
        for start in range(0, len(studies), batch_size):
            prepared = [self._preparer.prepare(study) for study in studies[start : start + batch_size]]
            seen = [item for item in prepared if isinstance(item, Prepared)]
            means = iter(self._mean_patches(seen) if seen else ())
            for item in prepared:
                yield item if isinstance(item, StudyError) else next(means)

    @torch.inference_mode()
    def attention_map(self, study: Study) -> Heatmap:
        """Where each finding's query looked in the first image of a study that the model looks at.

        Raises:
            StudyError: the study cannot be read.
        """
        prepared = self._preparer.prepare(study)
        if isinstance(prepared, StudyError):
            raise prepared
        visual = self._model.encode_images(*self._collated([prepared]))
        grid = self._model.encoder.grid
        weights = visual.finding_attention[0, :, : grid * grid].reshape(-1, grid, grid).cpu().numpy()  # [F,g,g]
        pixels, placement = self._preparer.show(study)
        named = dict(zip(self.schema.findings, weights, strict=True))
        stated = {name: named[name] for name in self.schema.stated}
        return Heatmap(image=pixels, square=placement.square, weights=stated)

    def _mean_patches(self, batch: list[Prepared]) -> Iterator[NDArray[np.float64]]:
        pixel_values, _, mask = self._collated(batch)
        patches = self._model.encoder(pixel_values[mask]).mean(1).double().cpu()  # [views of all studies,D_img]
        for views in patches.split(mask.sum(1).tolist()):
            yield views.mean(0).numpy()

    def _collated(self, batch: list[Prepared]) -> tuple[torch.Tensor, ...]:
        return tuple(tensor.to(self._device) for tensor in self._preparer.collate(batch))

    @torch.inference_mode()
    def _draft_batch(
        self,
        batch: list[Prepared],
        decoding: Decoding,
        overrides: Mapping[str, FindingState],
        attributes: Mapping[str, str],
    ) -> list[Report]:
        visual = self._model.encode_images(*self._collated(batch))
        probabilities = self._model.probabilities(visual.finding_logits)
        states = self._model.decide(probabilities)
        findings = [
            resolve_findings(
                self.schema, row_states, row_probabilities, overrides, self._model.config.findings.reported
            )
            for row_states, row_probabilities in zip(states.tolist(), probabilities.tolist(), strict=True)
        ]
        told = torch.tensor(
            [[STATES.index(finding.state) for finding in row] for row in findings],
            dtype=torch.long,
            device=self._device,
        )
        resolved = self._resolve_attributes(batch, visual, attributes)
        visual_tokens, visual_mask = self._model.visual_tokens(told, visual, self._told(resolved))
        texts = generate(
            self._checkpoint,
            visual_tokens=visual_tokens,
            visual_mask=visual_mask,
            prompt_ids=[item.prompt_ids for item in batch],
            states=[[finding.state for finding in row] for row in findings],
            attributes=[{attribute.name: attribute.value for attribute in row} for row in resolved],
            decoding=decoding,
        )
        return [self._report(*row, decoding) for row in zip(batch, findings, resolved, texts, strict=True)]

    def _resolve_attributes(
        self, batch: Sequence[Prepared], visual: VisualFeatures, overrides: Mapping[str, str]
    ) -> list[tuple[Attribute, ...]]:
        """Of each study the A attributes as the decoder is told them."""
        seen = [logits.softmax(-1).tolist() for logits in visual.attribute_logits]  # [A,B,values]
        return [
            resolve_attributes(
                self._model.config.attributes, [rows[place] for rows in seen], header_values(item.study), overrides
            )
            for place, item in enumerate(batch)
        ]

    def _told(self, resolved: Sequence[tuple[Attribute, ...]]) -> torch.Tensor:
        """[B,A] indices into `AttributeConfig.told`."""
        known = self._model.config.attributes
        rows = [[one.index(told.value) for one, told in zip(known, row, strict=True)] for row in resolved]
        return torch.tensor(rows, dtype=torch.long, device=self._device)

    def _report(
        self,
        item: Prepared,
        findings: tuple[Finding, ...],
        attributes: tuple[Attribute, ...],
        written: GeneratedText,
        decoding: Decoding,
    ) -> Report:
        notices = list(item.notices)
        if not written.sections:
            notices.append("the model wrote nothing; write the report by hand")
        if mismatched := mismatched_findings(written.text, [finding.state for finding in findings], self.schema):
            notices.append(f"the text departs from the findings told to the decoder on: {', '.join(mismatched)}")
        notices += [f"{flag.kind.value}: {flag.sentence}" for flag in audit_text(written.text) if flag.kind in _TELLING]
        return Report(
            sections=written.sections,
            findings=findings,
            notices=tuple(notices),
            provenance=self._provenance(item.study, decoding),
            attributes=attributes,
        )

    def _blank_report(self, item: Prepared, decoding: Decoding) -> Report:
        """Nothing was exposed, so the decoder is not asked: it would invent."""
        unknown = tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in self.schema.findings)
        return Report(
            sections=_BLANK,
            findings=unknown,
            notices=item.notices,
            provenance=self._provenance(item.study, decoding),
            attributes=unknown_attributes(self._model.config.attributes),
        )

    def _provenance(self, study: Study, decoding: Decoding) -> Provenance:
        return Provenance(
            model_name=self._model.config.name,
            weights_sha256=self._checkpoint.weights_sha256,
            program_version=__version__,
            created=_now().isoformat(timespec="seconds"),
            study_instance_uid=study.study_instance_uid,
            inputs=tuple(
                InputFile(sha256=image.sha256, sop_instance_uid=image.sop_instance_uid) for image in study.images
            ),
            decoding=decoding.options() | {"device": self._device.type, "threads": torch.get_num_threads()},
        )


def _now() -> datetime:
    """The time, or SOURCE_DATE_EPOCH (reproducible-builds.org) where outputs must be the same to the byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
