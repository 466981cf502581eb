"""Draft the reports of studies, with findings, notices and provenance."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.arguments import DtypeName, check_count
from report_gen.drafting.batching import generate_in_time
from report_gen.drafting.checkpoint_generator import CheckpointGenerator
from report_gen.drafting.limits import NO_LIMITS, StudyLimits
from report_gen.drafting.model_source import find_source
from report_gen.drafting.report_composing import ReportComposer
from report_gen.drafting.report_generator import (
    BlankStudy,
    GeneratedDraft,
    GeneratorInfo,
    OnAttention,
    PreparedStudy,
    ReportGenerator,
)
from report_gen.drafting.request import DraftRequest, as_requests
from report_gen.errors import StudyError
from report_gen.generation import Decoding
from report_gen.model import Checkpoint
from report_gen.records import (
    FindingLocation,
    FindingSchema,
    FindingState,
    Heatmap,
    Image,
    PreprocessedImage,
    Report,
    Study,
)


class Drafter:
    """Drafts reports with one model. Several threads may share a drafter.

    >>> report = Drafter.load().draft(read_study("study.dcm"))  # doctest: +SKIP

    Args:
        generator: Generates the texts.
    """

    def __init__(self, generator: ReportGenerator[Any]) -> None:
        self.generator = generator
        self._reports = ReportComposer(generator.info)

    @classmethod
    def from_checkpoint(
        cls,
        checkpoint: Checkpoint,
        *,
        device: str | torch.device = "auto",
        dtype: str | torch.dtype = "auto",
        cuda_graphs: bool = False,
    ) -> Drafter:
        """Return a drafter of a loaded checkpoint; see `CheckpointGenerator` for arguments and errors."""
        return cls(CheckpointGenerator(checkpoint, device=device, dtype=dtype, cuda_graphs=cuda_graphs))

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        base: str | os.PathLike[str] | None = None,
        device: str = "auto",
        dtype: DtypeName = "auto",
        allow_remote: bool = False,
    ) -> Drafter:
        """Load a model onto a device.

        Args:
            folder: Checkpoint folder, or another model, see `find_source`; by default the embedded checkpoint.
            base: Base of a checkpoint that is an adapter, see `load_checkpoint`.
            device: As in `CheckpointGenerator`.
            dtype: As in `CheckpointGenerator`.
            allow_remote: Whether images may be sent to a model on another computer.

        Returns:
            A drafter with the model.

        Raises:
            CheckpointError: The checkpoint is missing, altered or does not fit, or the base of an adapter is not found.
            UsageError: The device or the type is unknown or not available, or `base` is given for no adapter.
        """
        name = None if base is None else os.fspath(base)
        source = find_source(folder)
        return cls(source.load(base=name, device=device, dtype=dtype, allow_remote=allow_remote, tuned=False))

    @property
    def info(self) -> GeneratorInfo:
        """What the model is and what it knows."""
        return self.generator.info

    @property
    def schema(self) -> FindingSchema:
        """The findings of the drafts."""
        return self.info.schema

    @property
    def reported(self) -> frozenset[str]:
        """Names of the findings whose probability the model reports, because it was trained on them."""
        return self.info.reported

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
            decoding: How texts are generated; by default as `info.decoding` of the model.
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
        requests = list(map(self.generator.check_request, requests))
        decoding = decoding or self.info.decoding
        prepare = partial(self.generator.prepare, decoding=decoding, limits=limits, blank=blank, force=force)
        generate = partial(self.generator.generate, decoding=decoding, on_attention=on_attention)
        draft = partial(self._draft_batch, generate=partial(generate_in_time, generate, limits), decoding=decoding)
        size = max(batch_size, self.info.batch_size)
        batches = (requests[start : start + size] for start in range(0, len(requests), size))
        return (result for batch in batches for result in draft(list(map(prepare, batch))))

    def features(self, studies: Iterable[Study]) -> Iterator[NDArray[np.float64] | StudyError]:
        """Yield the encoder features of each study in order, averaged over views and patches [D_img], or its error.

        Only a model with `info.has_features` has them.
        """
        return self.generator.features(studies)

    def attention_map(self, study: Study, *, max_views: int | None = None) -> Heatmap:
        """Return the attention of each finding over the first image of a study that the model gets.

        Only a model with `info.has_attention` has it.

        Args:
            study: The study.
            max_views: Largest number of images of a study, as in `StudyLimits`.

        Raises:
            StudyError: The study cannot be read.
        """
        return self.generator.attention_map(study, max_views=max_views)

    def given_slices(self, study: Study, *, max_views: int | None = None) -> tuple[Image, ...]:
        """Return the slices of a volume that the model is given, in the windows in which it gets them.

        The result is empty for a model of single images, and for a study without slices.

        Args:
            study: The study.
            max_views: Largest number of images of a study, as in `StudyLimits`.

        Raises:
            StudyError: The slices cannot be read.
        """
        return self.generator.given_slices(study, max_views=max_views)

    def preprocessing_stages(self, study: Study, *, max_views: int | None = None) -> tuple[PreprocessedImage, ...]:
        """Return the images of a study that the model gets, as they are after every step of their preprocessing.

        Args:
            study: The study.
            max_views: Largest number of images of a study, as in `StudyLimits`.

        Raises:
            StudyError: The study cannot be read.
        """
        return self.generator.preprocessing_stages(study, max_views=max_views)

    def _draft_batch(
        self,
        batch: Sequence[PreparedStudy | BlankStudy | StudyError],
        generate: Callable[[Sequence[PreparedStudy]], list[GeneratedDraft | StudyError]],
        decoding: Decoding,
    ) -> Iterator[Report | StudyError]:
        prepared = [item for item in batch if not isinstance(item, BlankStudy | StudyError)]
        drafts = iter(generate(prepared) if prepared else ())
        for item in batch:
            if isinstance(item, StudyError):
                yield item
            elif isinstance(item, BlankStudy):
                yield self._reports.compose_blank(item.request, notices=item.notices, decoding=decoding)
            elif isinstance(draft := next(drafts), StudyError):
                yield draft
            else:
                yield self._reports.compose(item.request, draft, decoding=decoding)
