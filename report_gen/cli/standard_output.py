"""Print drafts of `report-gen draft` to standard output."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from report_gen.errors import OutputError, ReportGenError, StudyError, UsageError
from report_gen.outputs import OutputFormat
from report_gen.terminal import print_json, print_text

if TYPE_CHECKING:
    from report_gen.records import Study

_PRINTED_TOGETHER = ("txt", "json")
"""Formats whose documents of several studies stay apart on standard output."""


class StandardOutput:
    """Prints drafts, under the names of their studies if there are several."""

    def __init__(self, studies: Sequence[Study], output_format: OutputFormat) -> None:
        from report_gen.files import file_name, unique_names

        if len(studies) > 1 and output_format.name not in _PRINTED_TOGETHER:
            raise UsageError(
                f"--format {output_format.name}: {len(studies)} documents cannot be printed one after the other; "
                "choose a folder with --output"
            )
        self.studies = studies
        self.refused: Sequence[Sequence[ReportGenError]] = ()
        self.files_written = 0
        self._format = output_format
        self._names = unique_names(file_name(study.name, suffix=output_format.suffix) for study in studies)

    def formats(self, number: int) -> Sequence[str]:
        return (self._format.name,)

    def write(self, number: int, documents: Mapping[str, bytes | ReportGenError]) -> Sequence[ReportGenError]:
        try:
            text = require_content(documents[self._format.name]).decode()
        except (StudyError, OutputError) as error:
            return [error]
        if self._format.media_type.endswith("json"):
            print_json(text.rstrip("\n"))
        elif len(self.studies) == 1:
            print_text(text.rstrip("\n"))
        else:
            print_text(f"=== {self._names[number]} ===\n{text}")
        return ()


def require_content(document: bytes | ReportGenError) -> bytes:
    """Return the content of a file; raise the error for which it cannot be written."""
    if isinstance(document, ReportGenError):
        raise document
    return document
