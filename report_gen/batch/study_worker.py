"""Draft studies with their models, and render the documents of the drafts. This is the work of one process."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import partial

import torch

from report_gen.batch.records import BatchSettings, Document, DraftedStudy, StudyTask, digest_sources
from report_gen.drafting import Drafted, Drafter, DrafterSet
from report_gen.errors import CheckpointError, OutputError, StudyError, UsageError, without_traceback
from report_gen.imaging import limit_memory
from report_gen.outputs import DraftDocument, get_format
from report_gen.records import Report
from report_gen.terminal import name_options


class StudyWorker:
    """Drafts studies and renders their documents.

    Args:
        settings: What the drafts have in common.

    Raises:
        CheckpointError: A model card cannot be read.
    """

    def __init__(self, settings: BatchSettings) -> None:
        self._settings = settings
        self._drafters = DrafterSet(partial(_load, settings), settings.scopes)
        self._cards = {name: source.model_card() for name, source in settings.sources.items()}

    def load(self, tasks: Sequence[StudyTask]) -> None:
        """Load the models that draft studies first. Otherwise they are loaded when a study needs them.

        Raises:
            CheckpointError: A model cannot be loaded.
        """
        for name in dict.fromkeys(task.models[0] for task in tasks):
            self._drafters.load(name)

    def draft(self, tasks: Sequence[StudyTask]) -> Iterator[DraftedStudy]:
        """Yield the documents of studies in their order, or why a study is refused.

        Args:
            tasks: Studies of a batch; `BatchSettings.batch_size` of them are drafted together.

        Raises:
            ReportGenError: The error is not that of a study: a model cannot be loaded, or does not know an override.
        """
        settings = self._settings
        results = self._drafters.draft_all(
            [task.request for task in tasks],
            [task.models for task in tasks],
            decoding=settings.decoding,
            batch_size=settings.batch_size,
            force=settings.force,
            limits=settings.limits,
        )
        for task, drafted in zip(tasks, results, strict=True):
            yield self._render(task, drafted)

    def _render(self, task: StudyTask, drafted: Drafted) -> DraftedStudy:
        if isinstance(drafted.result, StudyError):
            return DraftedStudy(number=task.number, refused=drafted.result)
        formats = [get_format(name) for name in task.formats]
        with_images = self._settings.attention or any(one.needs_attention for one in formats)
        try:
            document = self._compose(task, drafted.result, drafted, with_images=with_images)
            if any(one.media_type == "application/dicom" for one in formats):
                document = _with_header_notices(document)
        except StudyError as error:
            return DraftedStudy(number=task.number, refused=without_traceback(error))
        return DraftedStudy(
            number=task.number,
            model=drafted.model,
            model_name=document.report.provenance.model_name,
            forced=document.report.forced_notices,
            documents={one.name: _content(partial(one.render, document)) for one in formats},
            attention=_content(partial(_draw_attention, document)) if self._settings.attention else None,
            preprocessing=_content(
                partial(_draw_preprocessing, drafted.drafter, document, self._settings.limits.max_views)
            )
            if self._settings.preprocessing
            else None,
        )

    def _compose(self, task: StudyTask, report: Report, drafted: Drafted, *, with_images: bool) -> DraftDocument:
        """Return the document of a study; with images, the attention of the findings if the model has findings."""
        study, settings = task.request.study, self._settings
        max_views = settings.limits.max_views
        with_attention = with_images and drafted.drafter.info.has_attention
        given = partial(drafted.drafter.given_slices, study, max_views=max_views)
        return DraftDocument(
            report=replace(report, notices=tuple(map(name_options, report.notices))),
            study=study,
            attention=drafted.drafter.attention_map(study, max_views=max_views) if with_attention else None,
            given=given() if with_images else (),
            model_card=self._cards[drafted.model],
            options=settings.documents,
            revises=settings.revises,
            priors=tuple(prior.study for prior in task.request.priors),
        )


@contextmanager
def worker_process(settings: BatchSettings) -> Iterator[StudyWorker]:
    """Set up a process that drafts studies beside others: it computes with one thread.

    One thread per process is faster than several threads in one: the matrices of a text are small. It also makes the
    drafts independent of the number of processes.
    """
    torch.set_num_threads(1)
    with limit_memory(settings.image_memory):
        yield StudyWorker(settings)


def _load(settings: BatchSettings, name: str) -> Drafter:
    """Load a model, unless one of the models was replaced since their digests were read."""
    generator = settings.sources[name].load(
        base=settings.base,
        device=settings.device,
        dtype=settings.dtype,
        allow_remote=settings.allow_remote,
        tuned=settings.tuned,
    )
    if digest_sources(settings.sources) != settings.digests:  # a training run may replace RUN/best
        raise CheckpointError(f"{name}: was replaced while it was loaded; draft again")
    return Drafter(generator)


def _with_header_notices(document: DraftDocument) -> DraftDocument:
    """Add notices about identifying attributes that DICOM objects cannot have as the header has them."""
    from report_gen.outputs.dicom.valid_values import (
        header_notices,
    )  # imports highdicom, which other formats do not need

    with suppress(StudyError):  # the formats that need the header raise it again
        if notices := header_notices(document.source.attributes):
            report = document.report
            return replace(document, report=replace(report, notices=(*report.notices, *notices)))
    return document


def _content(render: Callable[[], bytes]) -> Document:
    """Return the content of a file, or the error for which it cannot be written."""
    try:
        return render()
    except (StudyError, OutputError, UsageError) as error:
        return without_traceback(error)


def _draw_attention(document: DraftDocument) -> bytes:
    from report_gen.outputs.overlay import format_overlay  # imports matplotlib, which takes a second

    if document.attention is None:
        raise UsageError("--attention: the model has no attention over findings to draw; leave the option out")
    return format_overlay(document.report, document.attention)


def _draw_preprocessing(drafter: Drafter, document: DraftDocument, max_views: int | None) -> bytes:
    from report_gen.outputs.preprocessing_figure import format_preprocessing  # imports matplotlib as well

    return format_preprocessing(drafter.preprocessing_stages(document.study, max_views=max_views))
