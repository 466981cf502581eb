"""Write the drafts of a batch and the drawings that the user asked for."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from report_gen.batch import DraftedStudy
from report_gen.cli.draft_output import DraftOutput
from report_gen.errors import OutputError, ReportGenError, UsageError


class DraftWriter:
    """Writes each draft as soon as it is there.

    Args:
        target: Where the drafts are written.
        attention: File for a drawing of the attention; None if none is requested.
        preprocessing: File for a drawing of the preprocessing; None if none is requested.
        name_models: Print which model drafted which studies, because the user has not chosen it.
    """

    def __init__(
        self, target: DraftOutput, *, attention: Path | None, preprocessing: Path | None, name_models: bool
    ) -> None:
        self._target, self._attention, self._preprocessing = target, attention, preprocessing
        self._name_models, self._drafted_by = name_models, dict[str, list[int]]()
        self.complete = 0
        """Studies of which every file was written."""
        self._failed = dict[int, list[ReportGenError]]()

    @property
    def refused(self) -> list[list[ReportGenError]]:
        """The errors of each study that cannot be drafted, or of which a file is not written, in their order."""
        return [self._failed[number] for number in sorted(self._failed)]

    def write(self, results: Iterable[DraftedStudy]) -> None:
        """Write the documents of studies, and show a progress bar.

        Raises:
            UsageError: A library of a format or what is to be drawn is missing.
        """
        from report_gen.terminal import print_notice, track

        for result in track(results, total=len(self._target.studies), description="drafting"):
            if errors := self._write(result):
                self._failed[result.number] = errors
            else:
                self.complete += 1
        if self._name_models:
            for model, numbers in self._drafted_by.items():  # one line is enough for a thousand radiographs
                others = f" and {len(numbers) - 1} more" if len(numbers) > 1 else ""
                name = self._target.studies[min(numbers)].name
                print_notice(f"{name}{others}: drafted by the embedded model {model}")

    def _write(self, result: DraftedStudy) -> list[ReportGenError]:
        from report_gen.terminal import print_notice

        if result.refused is not None:
            return [result.refused]
        self._drafted_by.setdefault(f"{result.model} ({result.model_name})", []).append(result.number)
        for notice in result.forced:
            print_notice(f"{self._target.studies[result.number].path}: {notice}")
        errors = list(self._target.write(result.number, result.documents))
        drawings = ((self._attention, result.attention), (self._preprocessing, result.preprocessing))
        return errors + [error for path, content in drawings if path for error in _write_drawing(path, content)]


def _write_drawing(path: Path, content: bytes | ReportGenError | None) -> list[ReportGenError]:
    """Write a drawing. Return the error if it cannot be drawn or written."""
    from report_gen.files import write_atomically

    if isinstance(content, UsageError):
        raise content
    if isinstance(content, ReportGenError):
        return [content]
    try:
        write_atomically(path, content or b"")
    except OutputError as error:
        return [error]
    return []
