"""The whole story in one class: a study in, a draft report out."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import torch

from report_gen import __version__
from report_gen.auditing import FlagKind, audit_text
from report_gen.errors import StudyError, UsageError
from report_gen.generation import FAITHFUL, Decoding, Written, departures, generate
from report_gen.model import Checkpoint, load_checkpoint
from report_gen.model.config import STATES
from report_gen.model.projector import VIEWS
from report_gen.pixels import PixelTransform
from report_gen.prompting import describe_views, render
from report_gen.reading import read_pixels
from report_gen.report import (
    FINDINGS,
    Finding,
    FindingState,
    InputFile,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
)
from report_gen.study import Image, Study

EMBEDDED = Path(__file__).with_name("pretrained") / "chest_xray"
"""The checkpoint that comes with the package."""

_GREY = 0.5

_BLANK = (
    Section(SectionName.FINDINGS, (Sentence("The image is blank, so no finding can be described."),)),
    Section(SectionName.IMPRESSION, (Sentence("Nondiagnostic image."),)),
)


_TELLING = (FlagKind.PRIOR, FlagKind.CONTRADICTION)
"""Flaws that a reader must know of; a repetition speaks for itself."""


@dataclass(frozen=True)
class _Prepared:
    """A study on its way through the model."""

    study: Study
    squares: torch.Tensor  # [V,size,size] 0..1
    views: list[int]  # [V], indices into VIEWS
    prompt_ids: list[int]  # [P]
    notices: tuple[str, ...]

    @property
    def is_blank(self) -> bool:
        return not self.squares.any()


class Drafter:
    """Drafts reports with one checkpoint.

    >>> report = Drafter.load().draft(read_study(Path("study.dcm")))  # doctest: +SKIP
    """

    def __init__(self, checkpoint: Checkpoint, *, device: str | torch.device = "cpu") -> None:
        self._checkpoint = checkpoint
        self._device = torch.device(device)
        self._model = checkpoint.model.to(self._device).eval()
        encoder = self._model.config.encoder
        self._transform = PixelTransform(
            size=encoder.image_size, channels=encoder.channels, mean=encoder.mean, std=encoder.std
        )

    @classmethod
    def load(cls, folder: Path | None = None, *, device: str | torch.device = "cpu") -> Drafter:
        """A drafter with the checkpoint of a folder, or with the embedded one.

        Raises:
            CheckpointError: the checkpoint is missing, altered or does not fit.
        """
        return cls(load_checkpoint(EMBEDDED if folder is None else folder), device=device)

    def draft(
        self,
        study: Study,
        *,
        decoding: Decoding | None = None,
        overrides: Mapping[str, FindingState] | None = None,
        indication: str | None = None,
    ) -> Report:
        """Draft one study; see `draft_all`.

        Raises:
            StudyError: the study cannot be read.
        """
        (result,) = self.draft_all([study], decoding=decoding, overrides=overrides, indication=indication)
        if isinstance(result, StudyError):
            raise result
        return result

    def draft_all(
        self,
        studies: Sequence[Study],
        *,
        decoding: Decoding | None = None,
        overrides: Mapping[str, FindingState] | None = None,
        indication: str | None = None,
        batch_size: int = 8,
        blank: bool = False,
    ) -> Iterator[Report | StudyError]:
        """Draft many studies: a report each, in order, or the error for which that study alone is refused.

        Args:
            decoding: how the text is written; the best of beam search and samples by default.
            overrides: states by finding name that a reader sets over what the model saw.
            indication: why the study was asked for; a study's own indication by default.
            batch_size: B, studies that go through the model together.
            blank: show the model plain grey in place of every image, to learn what it writes without looking.
        """
        decoding, overrides = decoding or FAITHFUL, overrides or {}
        _check_names(overrides)
        for start in range(0, len(studies), batch_size):
            prepared = [self._prepare(study, indication, blank) for study in studies[start : start + batch_size]]
            seen = [item for item in prepared if isinstance(item, _Prepared) and not item.is_blank]
            reports = iter(self._draft_batch(seen, decoding, overrides) if seen else ())
            for item in prepared:
                if isinstance(item, StudyError):
                    yield item
                elif item.is_blank:
                    yield self._blank_report(item, decoding)
                else:
                    yield next(reports)

    def _prepare(self, study: Study, indication: str | None, blank: bool) -> _Prepared | StudyError:
        """Read and fit the images that the model knows how to look at, and word the prompt."""
        images, notices = self._choose_images(study)
        try:
            squares = self._grey(len(images)) if blank else self._fit(images)
        except StudyError as error:
            return error
        if not squares.any():
            notices = (*notices, "every pixel of the image has the same value; check the export")
        prompt = render(
            self._checkpoint.prompt,
            indication=indication or study.indication or "",
            views=describe_views([image.view_position for image in images]),
            technique="",
        )
        views = [VIEWS.index(image.view_position) for image in images]
        return _Prepared(study, squares, views, self._checkpoint.tokenizer.encode(prompt), notices)

    def _fit(self, images: Sequence[Image]) -> torch.Tensor:
        """[V,size,size] 0..1; raises StudyError."""
        return torch.stack([self._transform.fit(read_pixels(image))[0] for image in images])

    def _grey(self, images: int) -> torch.Tensor:
        """[V,size,size] of one value that is not 0, so the model is asked: a black image would be refused."""
        return torch.full((images, self._transform.size, self._transform.size), _GREY)

    def _choose_images(self, study: Study) -> tuple[tuple[Image, ...], tuple[str, ...]]:
        """The images in views the model was trained on, else all; and what the reader must know of the choice."""
        config, notices = self._model.config, []
        modalities = {series.modality for series in study.series if series.modality}
        if config.modalities and (strange := sorted(modalities - set(config.modalities))):
            notices.append(
                f"modality {', '.join(strange)} is not what the model was trained on ({', '.join(config.modalities)})"
            )
        known = tuple(image for image in study.images if not config.views or image.view_position in config.views)
        if not known:
            notices.append(f"no view that the model was trained on ({', '.join(config.views)})")
        elif len(known) < len(study.images):
            notices.append(
                f"{len(study.images) - len(known)} of {len(study.images)} images left out: not a view of the training"
            )
        return known or study.images, tuple(notices)

    @torch.inference_mode()
    def _draft_batch(
        self, batch: list[_Prepared], decoding: Decoding, overrides: Mapping[str, FindingState]
    ) -> list[Report]:
        look = self._model.look(*self._collate(batch))
        probabilities = look.finding_logits.sigmoid()
        states = self._model.decide(probabilities)
        findings = [
            _settle(row_states, row_probabilities, overrides)
            for row_states, row_probabilities in zip(states.tolist(), probabilities.tolist(), strict=True)
        ]
        told = torch.tensor([[STATES.index(finding.state) for finding in row] for row in findings], device=self._device)
        visual_tokens, visual_mask = self._model.visual_tokens(told, look)
        texts = generate(
            self._checkpoint,
            visual_tokens=visual_tokens,
            visual_mask=visual_mask,
            prompt_ids=[item.prompt_ids for item in batch],
            states=[[finding.state for finding in row] for row in findings],
            decoding=decoding,
        )
        return [self._report(*row, decoding) for row in zip(batch, findings, texts, strict=True)]

    def _collate(self, batch: list[_Prepared]) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """pixel_values [B,V,C,H,W], view positions [B,V] and view mask [B,V]; missing views are black and masked."""
        views = max(len(item.views) for item in batch)
        squares = torch.stack([_padded(item.squares, views) for item in batch])
        positions = torch.stack([_padded(torch.tensor(item.views), views) for item in batch])
        mask = torch.stack([_padded(torch.ones(len(item.views), dtype=torch.bool), views) for item in batch])
        pixel_values = self._transform.normalise(squares)
        return pixel_values.to(self._device), positions.to(self._device), mask.to(self._device)

    def _report(self, item: _Prepared, findings: tuple[Finding, ...], written: Written, decoding: Decoding) -> Report:
        notices = list(item.notices)
        if not written.sections:
            notices.append("the model wrote nothing; write the report by hand")
        if departed := departures(written.text, [finding.state for finding in findings]):
            notices.append(f"the text departs from the findings told to the decoder on: {', '.join(departed)}")
        notices += [f"{flag.kind.value}: {flag.sentence}" for flag in audit_text(written.text) if flag.kind in _TELLING]
        return Report(
            sections=written.sections,
            findings=findings,
            notices=tuple(notices),
            provenance=self._provenance(item.study, decoding),
        )

    def _blank_report(self, item: _Prepared, decoding: Decoding) -> Report:
        """Nothing was exposed, so the decoder is not asked: it would invent."""
        unknown = tuple(Finding(name=name, state=FindingState.UNKNOWN) for name in FINDINGS)
        return Report(
            sections=_BLANK,
            findings=unknown,
            notices=item.notices,
            provenance=self._provenance(item.study, decoding),
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


def _check_names(overrides: Mapping[str, FindingState]) -> None:
    for name in overrides:
        if name not in FINDINGS:
            raise UsageError(f"finding {name!r} is not known; choose from {', '.join(FINDINGS)}")


def _settle(
    states: Sequence[int], probabilities: Sequence[float], overrides: Mapping[str, FindingState]
) -> tuple[Finding, ...]:
    """The 14 findings as the decoder is told them: decided, overruled, and "No Finding" made to agree with the rest."""
    told = {name: overrides.get(name, STATES[state]) for name, state in zip(FINDINGS, states, strict=True)}
    if "No Finding" not in overrides:
        told["No Finding"] = no_finding(told)
    return tuple(
        Finding(
            name=name,
            state=told[name],
            probability=None if STATES[state] is FindingState.UNKNOWN else probability,
            overruled=name in overrides,
        )
        for name, state, probability in zip(FINDINGS, states, probabilities, strict=True)
    )


def no_finding(told: Mapping[str, FindingState]) -> FindingState:
    """CheXpert's rule, as `label_findings` has it: nothing but a support device is present or uncertain."""
    others = {state for name, state in told.items() if name not in ("No Finding", "Support Devices")}
    if FindingState.PRESENT in others:
        return FindingState.ABSENT
    if FindingState.UNCERTAIN in others:
        return FindingState.UNCERTAIN
    return FindingState.PRESENT if FindingState.ABSENT in others else FindingState.UNKNOWN


def _padded(rows: torch.Tensor, length: int) -> torch.Tensor:
    """[V,...] -> [length,...], filled with zeros."""
    return torch.cat([rows, rows.new_zeros(length - len(rows), *rows.shape[1:])])


def _now() -> datetime:
    """The time, or SOURCE_DATE_EPOCH (reproducible-builds.org) where outputs must be the same to the byte."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.now(UTC) if epoch is None else datetime.fromtimestamp(int(epoch), UTC)
