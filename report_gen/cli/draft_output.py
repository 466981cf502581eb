"""Where `report-gen draft` writes drafts: to a folder with a journal, or to standard output."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from report_gen.batch import RAY_STATE
from report_gen.cli.document_options import document_settings
from report_gen.cli.older_drafts import OlderDrafts
from report_gen.cli.standard_output import StandardOutput, require_content
from report_gen.errors import OutputError, ReportGenError, StudyError, UsageError
from report_gen.outputs import DocumentOptions, OutputFormat, format_names, get_format
from report_gen.outputs.document import LAYOUT_OPTIONS
from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from report_gen.outputs.draft_file import DraftFile
    from report_gen.outputs.draft_plan import StudyPlan
    from report_gen.outputs.folder_names import FolderNames
    from report_gen.outputs.journal import DraftJournal
    from report_gen.records import Study


class DraftOutput(Protocol):
    """The drafts of a batch that have to be written."""

    studies: Sequence[Study]
    """The studies to draft."""
    refused: Sequence[Sequence[ReportGenError]]
    """The errors of each study of which no file may be written."""
    files_written: int
    """Number of files that were written to a folder."""

    def formats(self, number: int) -> Sequence[str]:
        """Return the names of the formats in which a study is written."""

    def write(self, number: int, documents: Mapping[str, bytes | ReportGenError]) -> Sequence[ReportGenError]:
        """Write the draft of a study in every format. If a format fails, the other formats are still written.

        Args:
            number: Index of the study in `studies`.
            documents: The content of each file, or why the file cannot be written, by the name of its format.

        Returns:
            An error for each file of the study that is not written.

        Raises:
            UsageError: A library of a format is missing.
        """


@contextmanager
def open_output(
    studies: Sequence[Study],
    folder: Path | None,
    formats: Sequence[OutputFormat],
    *,
    settings: Mapping[str, Any],
    documents: DocumentOptions,
    own_settings: Sequence[Mapping[str, Any]] = (),
    resume: bool = False,
    overwrite: bool = False,
    revises: Path | None = None,
) -> Iterator[DraftOutput]:
    """Open the output of a batch.

    Args:
        studies: All studies of the batch.
        folder: Folder of the drafts. None: standard output.
        formats: Formats of the drafts; standard output takes one text format.
        settings: What determines the drafts beside the images, the documents and the version of the program, see
            `name_drafts`.
        documents: What determines the documents of a draft.
        own_settings: Further settings of each study; empty if there are none.
        resume: Omit the files that the folder has, and print a notice on the number of complete studies.
        overwrite: Replace drafts that were edited, and print a notice on each.
        revises: Document of which a new version is written, under a name of its own. There are then one study and one
            format.

    Raises:
        OutputError: The folder cannot be written.
        UsageError: The folder has drafts of a Ray cluster.
    """
    if folder is None:
        (output_format,) = formats
        yield StandardOutput(studies, output_format)
        return
    from report_gen import __version__
    from report_gen.outputs.draft_plan import name_drafts
    from report_gen.outputs.folder_names import FolderNames
    from report_gen.outputs.journal import open_journal

    if (folder / RAY_STATE).exists():
        raise UsageError(f"{folder}: has drafts of --engine ray; continue with --engine ray, or choose another folder")
    settings = {**settings, "program_version": __version__}
    by_suffix = _settings_by_suffix(formats, documents, settings)
    every = [get_format(name) for name in format_names()]
    with open_journal(folder, resume=resume) as journal:
        other_suffixes = {one.suffix for one in every} - by_suffix.keys()
        named = name_drafts(journal, studies, by_suffix, own_settings=own_settings, other_suffixes=other_suffixes)
        file_names = FolderNames(folder)
        plans = _plan(journal, file_names, named, formats, resume=resume, overwrite=overwrite, revises=revises)
        if resume:
            _print_resumed(plans)
        own = own_settings or [{}] * len(plans)
        neighbors = _Neighbors(
            journal=journal,
            names=file_names,
            formats=[one for one in every if one not in formats],
            documents=documents,
            settings={plan.study: {**settings, **values} for plan, values in zip(plans, own, strict=True)},
        )
        older = OlderDrafts(folder)
        try:
            yield _DraftFolder(
                journal, plans, formats, neighbors, older, overwrite=overwrite, as_version=revises is not None
            )
        finally:
            older.print()


def _settings_by_suffix(
    formats: Sequence[OutputFormat], documents: DocumentOptions, settings: Mapping[str, Any]
) -> dict[str, dict[str, Any]]:
    """Return what determines the document of each format, by the suffix of its files.

    Raises:
        UsageError: Two formats have the same suffix.
    """
    by_suffix = {one.suffix: {**settings, **document_settings(documents, one), "format": one.name} for one in formats}
    if len(by_suffix) < len(formats):
        names = ", ".join(one.name for one in formats)
        raise UsageError(f"--format: files of {names} would have the same name; write them to different folders")
    return by_suffix


def _plan(
    journal: DraftJournal,
    file_names: FolderNames,
    named: Sequence[Sequence[DraftFile]],
    formats: Sequence[OutputFormat],
    *,
    resume: bool,
    overwrite: bool,
    revises: Path | None,
) -> list[StudyPlan]:
    """Return which files of each study are written."""
    from report_gen.outputs.draft_plan import find_later_version, plan_study, plan_version

    read_version = formats[0].read_version
    if revises is not None and read_version is not None:
        return [plan_version(journal, file, revises, read_version) for (file,) in named]
    readers = {one.suffix: one.read_version for one in formats}

    def find_later(file: DraftFile) -> DraftFile | None:
        return find_later_version(journal, file_names, file, readers[file.suffix])

    return [plan_study(journal, files, resume=resume, overwrite=overwrite, find_later=find_later) for files in named]


def _print_resumed(plans: Sequence[StudyPlan]) -> None:
    complete = sum(plan.is_complete for plan in plans)
    print_notice(f"{complete} of {len(plans)} studies were drafted before")
    if edited := [path for plan in plans for path in plan.edited]:
        print_notice(
            f"drafts that were changed since they were written: {len(edited)}, such as {edited[0]}; all are kept, and "
            "replaced only with --overwrite"
        )


@dataclass(frozen=True, kw_only=True)
class _Neighbors:
    """Finds the documents in the folder that lie beside a new draft and do not belong to it."""

    journal: DraftJournal
    names: FolderNames
    formats: Sequence[OutputFormat]
    """The formats that are not written."""
    documents: DocumentOptions
    settings: Mapping[Study, Mapping[str, Any]]
    """Settings of each new draft, without those of its documents."""

    def add_to(self, older: OlderDrafts, written: DraftFile) -> None:
        """Collect the documents beside a draft, of which one document was written."""
        from report_gen.outputs.older_documents import find_other_images, find_outdated

        shared = self.settings[written.study]
        formats = [
            (one, {**shared, **document_settings(self.documents, one, omitted=LAYOUT_OPTIONS), "format": one.name})
            for one in self.formats
        ]
        suffixes = [get_format(name).suffix for name in format_names()]
        older.add(
            find_outdated(self.journal, self.names, written, formats),
            find_other_images(self.journal, self.names, written, suffixes),
        )


class _DraftFolder:
    """Writes one file per draft and format."""

    def __init__(
        self,
        journal: DraftJournal,
        plans: Sequence[StudyPlan],
        formats: Sequence[OutputFormat],
        neighbors: _Neighbors,
        older: OlderDrafts,
        *,
        overwrite: bool,
        as_version: bool,
    ) -> None:
        self._plans = [plan for plan in plans if plan.remaining]
        self.studies: Sequence[Study] = tuple(plan.study for plan in self._plans)
        self.refused: Sequence[Sequence[ReportGenError]] = tuple(
            plan.refused for plan in plans if plan.refused and not plan.remaining
        )
        self.files_written = 0
        self._journal, self._overwrite, self._as_version = journal, overwrite, as_version
        self._formats = {output_format.suffix: output_format for output_format in formats}
        self._neighbors, self._older = neighbors, older

    def formats(self, number: int) -> Sequence[str]:
        return [self._formats[file.suffix].name for file in self._plans[number].remaining]

    def write(self, number: int, documents: Mapping[str, bytes | ReportGenError]) -> Sequence[ReportGenError]:
        errors: list[ReportGenError] = list(self._plans[number].refused)
        is_renamed = False
        written: DraftFile | None = None
        for file in self._plans[number].remaining:
            named = file.with_digits(self._journal.folder) if is_renamed else file
            try:
                content = require_content(documents[self._formats[file.suffix].name])
                is_renamed |= self._write(named, content)
            except (StudyError, OutputError) as error:
                errors.append(error)
            else:
                written, self.files_written = named, self.files_written + 1
        if written is not None:
            self._neighbors.add_to(self._older, written)
        return errors

    def _write(self, file: DraftFile, content: bytes) -> bool:
        """Write one file. Return whether another process has taken the name for other images."""
        if self._as_version:
            self._journal.write_version(file, content)
            return False
        self._check_replaced(file)
        written = self._journal.write(file, content, overwrite=self._overwrite)
        if written.replaced.is_edited:
            print_notice(f"{self._journal.folder / written.file.name}: was edited, and is replaced (--overwrite)")
        return written.file.name != file.name

    def _check_replaced(self, file: DraftFile) -> None:
        """Raise StudyError if another process has written a later version of a document since the plan was made."""
        from report_gen.outputs.draft_plan import find_later_version, replaced_error
        from report_gen.outputs.folder_names import FolderNames

        folder, read_version = self._journal.folder, self._formats[file.suffix].read_version
        if read_version is None or not (folder / file.name).exists():
            return
        if later := find_later_version(self._journal, FolderNames(folder), file, read_version):
            raise replaced_error(folder / file.name, folder / later.name)
