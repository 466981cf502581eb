"""Write the drafts of a batch as documents, and draw what the user asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.cli.draft_output import DraftOutput
from report_gen.errors import OutputError, ReportGenError, StudyError, UsageError
from report_gen.outputs import DocumentOptions, DraftDocument
from report_gen.terminal import name_options

if TYPE_CHECKING:
    from report_gen.drafting import Drafted, Drafter, PriorStudy
    from report_gen.records import Report, Study


@dataclass(frozen=True)
class DocumentComposer:
    """Puts drafts together with what their documents contain beside them."""

    model_cards: Mapping[str, str]
    """Model card of each model that may draft, by its name."""
    options: DocumentOptions
    revises: Path | None
    priors: Mapping[Study, Sequence[PriorStudy]]
    """Prior studies by study; studies without one may be missing."""
    max_views: int | None
    """Largest number of images of a study; None for that of the model."""

    def compose(self, study: Study, report: Report, drafted: Drafted, *, with_images: bool) -> DraftDocument:
        """Return the document of a study; with images, the attention of the findings if the model has findings."""
        with_attention = with_images and bool(drafted.drafter.schema.stated)
        return DraftDocument(
            report=replace(report, notices=tuple(map(name_options, report.notices))),
            study=study,
            attention=drafted.drafter.attention_map(study) if with_attention else None,
            given=drafted.drafter.given_slices(study, max_views=self.max_views) if with_images else (),
            model_card=self.model_cards[drafted.model],
            options=self.options,
            revises=self.revises,
            priors=tuple(prior.study for prior in self.priors.get(study, ())),
        )


def write_drafts(
    target: DraftOutput,
    results: Iterable[Drafted],
    documents: DocumentComposer,
    check_stop: Callable[[], None],
    *,
    attention: Path | None,
    preprocessing: Path | None,
) -> list[Sequence[ReportGenError]]:
    """Write each draft as soon as it is there, and draw what the user asked for.

    Args:
        target: Where the drafts are written.
        results: A report or an error for each study of `target`, with the model that gave it.
        documents: Puts a draft together with what its documents contain beside it.
        check_stop: Raises an exception if a signal has stopped the command.
        attention: File for a drawing of the attention; None if none is requested.
        preprocessing: File for a drawing of the preprocessing; None if none is requested.

    Returns:
        The errors of each study that cannot be drafted, or of which a file is not written.
    """
    from report_gen.terminal import print_notice, track

    refused, drafted_by = list[Sequence[ReportGenError]](), dict[str, list[str]]()
    tracked = track(results, total=len(target.studies), description="drafting")
    for number, (study, drafted) in enumerate(zip(target.studies, tracked, strict=True)):
        check_stop()
        try:
            if isinstance(drafted.result, StudyError):
                raise drafted.result
            with_images = target.needs_attention(number) or attention is not None
            document = documents.compose(study, drafted.result, drafted, with_images=with_images)
        except StudyError as error:
            refused.append([error])
            continue
        named = f"{drafted.model} ({document.report.provenance.model_name})"
        drafted_by.setdefault(named, []).append(study.name)
        for notice in document.report.forced_notices:
            print_notice(f"{study.path}: {notice}")
        errors = list(target.write(number, document))
        if attention:
            errors += _draw(attention, partial(_draw_attention, document))
        if preprocessing:
            errors += _draw(preprocessing, partial(_draw_preprocessing, drafted.drafter, study))
        if errors:
            refused.append(errors)
    if len(documents.model_cards) > 1:  # the user has not chosen the model
        for model, names in drafted_by.items():  # one line is enough for a thousand radiographs
            others = f" and {len(names) - 1} more" if len(names) > 1 else ""
            print_notice(f"{names[0]}{others}: drafted by the embedded model {model}")
    return refused


def _draw(path: Path, draw: Callable[[], bytes]) -> list[ReportGenError]:
    """Write a drawing. Return the error if it cannot be drawn or written."""
    from report_gen.files import write_atomically

    try:
        write_atomically(path, draw())
    except (StudyError, OutputError) as error:
        return [error]
    return []


def _draw_attention(document: DraftDocument) -> bytes:
    from report_gen.outputs.overlay import format_overlay  # imports matplotlib, which takes a second

    if document.attention is None:
        raise UsageError("--attention: the model has no findings, so there is nothing to draw; leave the option out")
    return format_overlay(document.report, document.attention)


def _draw_preprocessing(drafter: Drafter, study: Study) -> bytes:
    from report_gen.outputs.preprocessing_figure import format_preprocessing  # imports matplotlib as well

    return format_preprocessing(drafter.preprocessing_stages(study))
