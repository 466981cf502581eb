"""Write the drafts of a batch as documents, and draw what the user asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.cli.draft_output import DraftOutput
from report_gen.errors import ReportGenError, StudyError, UsageError
from report_gen.outputs import DocumentOptions, DraftDocument

if TYPE_CHECKING:
    from report_gen.drafting import Drafted, Drafter
    from report_gen.records import Report, Study


@dataclass(frozen=True)
class DocumentComposer:
    """Puts drafts together with what their documents contain beside them."""

    model_cards: Mapping[str, str]
    """Model card of each model by its name; the first model is the default one."""
    options: DocumentOptions
    revises: Path | None

    @property
    def default_model(self) -> str:
        """Name of the model whose use the user expects."""
        return next(iter(self.model_cards))

    def compose(self, study: Study, report: Report, drafted: Drafted, *, with_attention: bool) -> DraftDocument:
        """Return the document of a study, with the attention of the findings if the model has findings."""
        with_attention = with_attention and bool(drafted.drafter.schema.stated)
        return DraftDocument(
            report=report,
            study=study,
            attention=drafted.drafter.attention_map(study) if with_attention else None,
            model_card=self.model_cards[drafted.model],
            options=self.options,
            revises=self.revises,
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
    from report_gen.files import write_atomically
    from report_gen.terminal import print_notice, track

    refused = list[Sequence[ReportGenError]]()
    tracked = track(results, total=len(target.studies), description="drafting")
    for number, (study, drafted) in enumerate(zip(target.studies, tracked, strict=True)):
        check_stop()
        try:
            if isinstance(drafted.result, StudyError):
                raise drafted.result
            with_attention = target.needs_attention(number) or attention is not None
            document = documents.compose(study, drafted.result, drafted, with_attention=with_attention)
        except StudyError as error:
            refused.append([error])
            continue
        if drafted.model != documents.default_model:
            print_notice(f"{study.name}: drafted by the embedded model {drafted.model}")
        if errors := target.write(number, document):
            refused.append(errors)
        if attention:
            write_atomically(attention, _draw_attention(document))
        if preprocessing:
            write_atomically(preprocessing, _draw_preprocessing(drafted.drafter, study))
    return refused


def _draw_attention(document: DraftDocument) -> bytes:
    from report_gen.outputs.overlay import format_overlay  # imports matplotlib, which takes a second

    if document.attention is None:
        raise UsageError("--attention: the model has no findings, so there is nothing to draw; leave the option out")
    return format_overlay(document.report, document.attention)


def _draw_preprocessing(drafter: Drafter, study: Study) -> bytes:
    from report_gen.outputs.preprocessing_figure import format_preprocessing  # imports matplotlib as well

    return format_preprocessing(drafter.preprocessing_stages(study))
