"""Where `report-gen draft` writes drafts: to a folder with a journal, or to standard output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from report_gen.errors import StudyError, UsageError
from report_gen.outputs import DraftDocument, OutputFormat
from report_gen.terminal import print_json, print_notice, print_text

if TYPE_CHECKING:
    from report_gen.outputs.draft_file import DraftFile
    from report_gen.outputs.journal import DraftJournal
    from report_gen.records import Report, Study


class DraftOutput(Protocol):
    """The drafts of a batch that have to be written."""

    studies: Sequence[Study]
    """The studies to draft."""
    refused: Sequence[StudyError]
    """The errors of studies whose draft must not be written."""

    def write(self, number: int, report: Report) -> None:
        """Write the draft of a study.

        Args:
            number: Index of the study in `studies`.
            report: The draft.

        Raises:
            StudyError: The draft would replace a file that a user changed.
            OutputError: The draft cannot be written.
        """


@contextmanager
def open_output(
    studies: Sequence[Study],
    folder: Path | None,
    output_format: OutputFormat,
    *,
    settings: Mapping[str, Any],
    resume: bool,
) -> Iterator[DraftOutput]:
    """Open the output of a batch.

    Args:
        studies: All studies of the batch.
        folder: Folder of the drafts. None: standard output.
        output_format: Format of the drafts.
        settings: What determines the drafts beside the images and the version of the program, see `DraftJournal`.
        resume: Omit the studies whose draft the folder has, and print a notice on their number.

    Raises:
        OutputError: The folder cannot be written.
        UsageError: Drafts of this format cannot be printed.
    """
    if folder is None:
        yield _StandardOutput(studies, output_format)
        return
    from report_gen import __version__
    from report_gen.outputs.journal import open_journal

    settings = {**settings, "program_version": __version__}
    with open_journal(folder, resume=resume) as journal:
        files = journal.name_drafts(studies, output_format.suffix, settings=settings)
        if resume:
            resumed = journal.resume(files)
            files, refused = resumed.remaining, resumed.refused
            print_notice(f"{resumed.drafted} of {len(studies)} studies were drafted before")
            if resumed.edited:
                first, number = resumed.edited[0], len(resumed.edited)
                print_notice(
                    f"drafts that were changed since they were written: {number}, such as {first}; all are kept"
                )
        else:
            files, refused = journal.replaceable(files)
        yield _DraftFolder(journal, files, refused, output_format)


class _StandardOutput:
    """Prints drafts, under the names of their studies if there are several."""

    def __init__(self, studies: Sequence[Study], output_format: OutputFormat) -> None:
        from report_gen.files import file_name, unique_names

        if not output_format.is_text:
            raise UsageError(f"--format {output_format.name} cannot be printed; choose a folder with --output")
        self.studies = studies
        self.refused: Sequence[StudyError] = ()
        self._format = output_format
        self._names = unique_names(file_name(study.name, suffix=output_format.suffix) for study in studies)

    def write(self, number: int, report: Report) -> None:
        document = self._format.render(DraftDocument(report=report, study=self.studies[number])).decode()
        if self._format.media_type == "application/json":
            print_json(document.rstrip("\n"))
        elif self._format.media_type != "text/plain" or len(self.studies) == 1:
            print_text(document.rstrip("\n"))
        else:
            print_text(f"=== {self._names[number]} ===\n{document}")


class _DraftFolder:
    """Writes one file per draft."""

    def __init__(
        self,
        journal: DraftJournal,
        files: Sequence[DraftFile],
        refused: Sequence[StudyError],
        output_format: OutputFormat,
    ) -> None:
        self.studies: Sequence[Study] = tuple(file.study for file in files)
        self.refused = refused
        self._journal, self._files, self._format = journal, files, output_format

    def write(self, number: int, report: Report) -> None:
        file = self._files[number]
        self._journal.write(file, self._format.render(DraftDocument(report=report, study=file.study)))
