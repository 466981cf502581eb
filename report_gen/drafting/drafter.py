"""Draft the reports of studies, with findings, notices and provenance."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import torch

from report_gen.arguments import check_count
from report_gen.drafting.attention import OnAttention, pass_attention
from report_gen.drafting.batch_conditioning import condition_batch
from report_gen.drafting.batching import DraftBatch, draft_in_time
from report_gen.drafting.comparison import compare_studies
from report_gen.drafting.conditioning_inputs import check_request, uncertain_attributes
from report_gen.drafting.inspection import StudyInspector
from report_gen.drafting.limits import NO_LIMITS, Deadline, StudyLimits
from report_gen.drafting.prepared_study import LoadedStudy, PreprocessedStudy
from report_gen.drafting.preprocessing import StudyPreprocessor
from report_gen.drafting.prior_loading import add_prior
from report_gen.drafting.report_composing import ReportComposer
from report_gen.drafting.request import DraftRequest, as_requests
from report_gen.errors import CheckpointError, StudyError, without_traceback
from report_gen.generation import DEFAULT_DECODING, Decoding, generate_texts, study_generator
from report_gen.model import INT8, Checkpoint, load_checkpoint, quantize_linear_layers, resolve_device, resolve_dtype
from report_gen.records import (
    FindingLocation,
    FindingState,
    Report,
    Study,
)

_Prepared = PreprocessedStudy | LoadedStudy | StudyError
"""A study prepared for the model, a study whose images are blank, or the error for which a study alone is refused."""


class Drafter(StudyInspector):
    """Drafts reports with one checkpoint. Several threads may share a drafter.

    >>> report = Drafter.load().draft(read_study("study.dcm"))  # doctest: +SKIP

    Args:
        checkpoint: Model, tokenizer and prompt; the model is moved to the device and type.
        device: `auto`, `cpu`, `cuda`, `cuda:N` or `mps`, see `resolve_device`.
        dtype: `auto`, `float32`, `bfloat16` or `int8`, see `resolve_dtype`. `int8` replaces the linear layers of
            the decoder in `checkpoint`.

    Raises:
        UsageError: The device or the type is unknown or not available.
    """

    def __init__(
        self, checkpoint: Checkpoint, *, device: str | torch.device = "auto", dtype: str | torch.dtype = "auto"
    ) -> None:
        self._checkpoint = checkpoint
        self._device = resolve_device(device)
        self._dtype = resolve_dtype(dtype, self._device)
        if dtype == INT8:
            quantize_linear_layers(checkpoint.model.decoder.language_model)
        super().__init__(
            checkpoint.model.to(self._device, self._dtype).eval(),
            StudyPreprocessor(checkpoint, device=self._device, dtype=self._dtype),
        )
        dtype_name = INT8 if dtype == INT8 else str(self._dtype).removeprefix("torch.")
        self._reports = ReportComposer(checkpoint, device=self._device, dtype=dtype_name)

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        base: str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
    ) -> Drafter:
        """Load a checkpoint onto a device.

        Args:
            folder: Checkpoint folder; by default the embedded checkpoint.
            base: Base of a checkpoint that is an adapter, see `load_checkpoint`.
            device: As in `Drafter`.
            dtype: As in `Drafter`.

        Returns:
            A drafter with the model of the checkpoint.

        Raises:
            CheckpointError: The checkpoint is missing, altered or does not fit, or the base of an adapter is not found.
            UsageError: The device or the type is unknown or not available, or `base` is given for no adapter.
        """
        device = resolve_device(device)  # before the weights are read
        return cls(load_checkpoint(folder, base=base), device=device, dtype=dtype)

    def draft(
        self,
        study: Study | DraftRequest,
        *,
        decoding: Decoding | None = None,
        overrides: Mapping[str, FindingState] | None = None,
        locations: Mapping[str, FindingLocation] | None = None,
        attributes: Mapping[str, str] | None = None,
        indication: str | None = None,
    ) -> Report:
        """Draft the report of one study.

        Args:
            study: The study, from `read_study` or `read_studies`, or a request.
            decoding: As in `draft_all`.
            overrides: As in `draft_all`.
            locations: As in `draft_all`.
            attributes: As in `draft_all`.
            indication: As in `draft_all`.

        Returns:
            The draft, with its findings, notices and provenance.

        Raises:
            StudyError: The study cannot be read.
            UsageError: An override is not known to the model.
            CheckpointError: The model computes NaN or infinite values.
        """
        (result,) = self.draft_all(
            [study],
            decoding=decoding,
            overrides=overrides,
            locations=locations,
            attributes=attributes,
            indication=indication,
        )
        if isinstance(result, StudyError):
            raise result
        return result

    def draft_all(
        self,
        studies: Sequence[Study | DraftRequest],
        *,
        decoding: Decoding | None = None,
        overrides: Mapping[str, FindingState] | None = None,
        locations: Mapping[str, FindingLocation] | None = None,
        attributes: Mapping[str, str] | None = None,
        indication: str | None = None,
        batch_size: int = 1,
        blank: bool = False,
        force: bool = False,
        limits: StudyLimits = NO_LIMITS,
        on_attention: OnAttention = None,
    ) -> Iterator[Report | StudyError]:
        """Draft many studies. A study that cannot be read does not stop the others.

        Args:
            studies: Studies, or requests that carry their own indication and overrides.
            decoding: How texts are generated; `DEFAULT_DECODING` by default.
            overrides: Finding states set by the reader for all studies, by finding name.
            locations: Locations of present findings set by the reader for all studies, by finding name.
            attributes: Attribute values set by the reader for all studies, "" for unknown.
            indication: Why the studies were ordered; by default the indication of each study.
            batch_size: Number B of studies that the decoder processes together. More than 1 is faster, but the last
                digits of sums then depend on the other studies of the batch, which changes a word in rare cases. By
                default every draft is exactly the one that the study gets alone.
            blank: Replace every image with uniform gray, to measure what the model writes without images.
            force: Draft studies outside the scope of the model as well, with a notice.
            limits: Images that a study may have, and time that its draft may take.
            on_attention: Called with the attention of each study before its text is generated; not for black images.

        Returns:
            An iterator over reports in the order of the studies, which works batch by batch. If a study alone is
            refused, its error takes the place of the report.

        Raises:
            UsageError: An override is not known to the model or is given together with a request, or an argument is
                of another type or out of range.
            CheckpointError: The model computes NaN or infinite values.
        """
        check_count("batch_size", batch_size)
        requests = as_requests(
            studies,
            indication=indication,
            overrides=overrides or {},
            attributes=attributes or {},
            locations=locations or {},
        )
        requests = [check_request(request, self._model.config) for request in requests]
        prepare = partial(self._prepare, decoding=decoding or DEFAULT_DECODING, limits=limits, blank=blank, force=force)
        draft = partial(self._draft_images, decoding=decoding or DEFAULT_DECODING, on_attention=on_attention)
        batches = (requests[start : start + batch_size] for start in range(0, len(requests), batch_size))
        return (
            result
            for batch in batches
            for result in self._draft_batch(list(map(prepare, batch)), draft, decoding or DEFAULT_DECODING, limits)
        )

    def _prepare(
        self, request: DraftRequest, decoding: Decoding, limits: StudyLimits, *, blank: bool, force: bool
    ) -> _Prepared:
        """Load a study and its prior study, and prepare both for the model."""
        load = partial(self._preprocessor.load, blank=blank, force=force, limits=limits)
        loaded = load(request)
        if isinstance(loaded, StudyError) or loaded.is_blank:
            return loaded
        try:
            loaded, prior = add_prior(loaded, load, self._model.config)
        except StudyError as error:
            return without_traceback(error)
        return self._preprocessor.prepare(loaded, max_report_tokens=decoding.max_tokens, prior=prior)

    def _draft_batch(
        self, batch: Sequence[_Prepared], draft: DraftBatch, decoding: Decoding, limits: StudyLimits
    ) -> Iterator[Report | StudyError]:
        prepared = [item for item in batch if isinstance(item, PreprocessedStudy)]
        reports = iter(draft_in_time(prepared, draft, limits) if prepared else ())
        for item in batch:
            if isinstance(item, StudyError):
                yield item
            elif isinstance(item, LoadedStudy):
                yield self._reports.compose_blank(item.request, notices=item.notices, decoding=decoding)
            else:
                yield next(reports)

    @torch.inference_mode()
    def _draft_images(
        self,
        batch: Sequence[PreprocessedStudy],
        deadline: Deadline,
        decoding: Decoding,
        on_attention: OnAttention,
    ) -> list[Report]:
        visual = self._model.encode_images(*self._preprocessor.collate([item.loaded for item in batch]))
        conditioning = condition_batch(self._model, [item.loaded.request for item in batch], visual)
        comparisons = compare_studies(self._model, batch, visual, conditioning.findings, self._preprocessor.collate)
        pass_attention(self._model, visual, [item.loaded for item in batch], on_attention)
        texts = generate_texts(
            self._checkpoint,
            visual_tokens=conditioning.visual_tokens,
            visual_mask=conditioning.visual_mask,
            prompt_ids=[item.prompt.token_ids for item in batch],
            max_report_tokens=[item.prompt.max_report_tokens for item in batch],
            states=[[finding.state for finding in row] for row in conditioning.findings],
            attributes=[{attribute.name: attribute.value for attribute in row} for row in conditioning.attributes],
            stated=[
                {one.name: one.value for one in row if one.from_header or one.overridden}
                for row in conditioning.attributes
            ],
            unnamed=[uncertain_attributes(self._model.config.attributes, row) for row in conditioning.attributes],
            locations=conditioning.locations,
            decoding=decoding,
            generators=[_study_generator(item.loaded, decoding) for item in batch],
            before_token=deadline.check,
        )
        if not all(text.finite for text in texts):
            raise CheckpointError(
                f"the decoder of model {self._model.config.name!r} gives values that are not finite; "
                "use another checkpoint"
            )
        rows = zip(batch, conditioning.findings, conditioning.attributes, texts, comparisons, strict=True)
        return [
            self._reports.compose(
                item.loaded.request,
                findings=row,
                attributes=values,
                text=text,
                prompt=item.prompt,
                notices=item.loaded.notices,
                decoding=decoding,
                comparison=comparison,
                comparison_text=item.comparison,
            )
            for item, row, values, text, comparison in rows
        ]


def _study_generator(loaded: LoadedStudy, decoding: Decoding) -> torch.Generator:
    """Return the random generator of a study, determined by the pixels of its images and the seed of the user.

    The digests are sorted, because the images of a study are ordered by their file names, which must not matter.
    Indication, overrides and prior study are not part of the seed. Drafts with and without one of them use the same
    random numbers, so they differ only by its effect on the decoder.
    """
    return study_generator(decoding.seed, *sorted(loaded.pixel_digests))
