"""Plan which files of a batch of drafts are written to a folder: their names, and which of them the folder has."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from report_gen.errors import StudyError, UsageError
from report_gen.files import name_key, unique_names
from report_gen.outputs.draft_file import DraftFile
from report_gen.outputs.folder_names import FolderNames
from report_gen.outputs.journal import DraftJournal, DraftState
from report_gen.outputs.versions import DocumentVersion, find_newer
from report_gen.records import Study


@dataclass(frozen=True)
class StudyPlan:
    """The files of one study, of which each is in one format."""

    study: Study
    remaining: tuple[DraftFile, ...]
    """Files to write."""
    edited: tuple[Path, ...]
    """Files that were changed since they were written, and are kept because they are the requested drafts."""
    refused: tuple[StudyError, ...]
    """An error for each file that must not be written, because it would replace a file that is kept."""

    @property
    def is_complete(self) -> bool:
        """Whether the folder has all files of the study."""
        return not self.remaining and not self.refused


def plan_study(
    journal: DraftJournal,
    files: Sequence[DraftFile],
    *,
    resume: bool = False,
    overwrite: bool = False,
    find_later: Callable[[DraftFile], DraftFile | None] = lambda _: None,
) -> StudyPlan:
    """Find out which files of a study are to be written.

    A file that report-gen did not write is never replaced, and one that a user edited only by `overwrite`. A document
    that has later versions is never written again, because they refer to it.

    Args:
        journal: Journal of the folder.
        files: The files of one study.
        resume: Omit the files that the folder has, also if they were edited.
        overwrite: Replace files that were edited.
        find_later: Returns the newest version of a document, see `find_later_version`. Default: no document has one.
    """
    remaining, edited, refused = list[DraftFile](), list[Path](), list[StudyError]()
    for file in files:
        state = journal.state(file)
        if resume and state is DraftState.CURRENT:
            continue
        if state is DraftState.FOREIGN:
            refused.append(journal.refusal(file, state))
        elif resume and state is DraftState.EDITED and not overwrite:
            edited.append(journal.folder / file.name)
        elif (later := find_later(file)) is not None:
            refused.append(replaced_error(journal.folder / file.name, journal.folder / later.name))
        elif overwrite or not state.is_edited:
            remaining.append(file)
        else:
            refused.append(journal.refusal(file, state))
    return StudyPlan(files[0].study, tuple(remaining), tuple(edited), tuple(refused))


def find_later_version(
    journal: DraftJournal, names: FolderNames, file: DraftFile, read_version: Callable[[Path], DocumentVersion] | None
) -> DraftFile | None:
    """Return the newest version of a document in its folder; None if no version replaces the document.

    Args:
        journal: Journal of the folder.
        names: File names of the folder.
        file: The document without the number of a version. It may be missing.
        read_version: Returns the version of a file of this format, or raises StudyError if the file has none. None:
            the format has no versions.
    """
    if read_version is None:
        return None
    first = journal.folder / file.name
    for number in reversed(names.version_numbers(file)):
        later = file.with_version(number, journal.folder)
        if journal.state(later).is_own and _is_same_document(first, journal.folder / later.name, read_version):
            return later
    return None


def _is_same_document(first: Path, later: Path, read_version: Callable[[Path], DocumentVersion]) -> bool:
    """Return whether two files are versions of one document, which is assumed if one of them cannot be read."""
    try:
        return read_version(first).document == read_version(later).document
    except (StudyError, UsageError):
        return True


def replaced_error(path: Path, later: Path) -> StudyError:
    """Return the error of a document that must not be written again, because a later version replaces it."""
    return StudyError(
        path,
        f"was replaced by later versions, of which {later} is the newest, so it is not written again; write the draft "
        f"as a new version with --revises {later}, or choose another folder",
    )


def plan_version(
    journal: DraftJournal, file: DraftFile, revises: Path, read_version: Callable[[Path], DocumentVersion]
) -> StudyPlan:
    """Plan a new version of a document, unless the document was replaced by a newer version.

    Newer versions are looked for beside the document and in the folder of the journal.

    Args:
        journal: Journal of the folder that the new version is written to.
        file: The file of the study without the number of a version.
        revises: The document to replace.
        read_version: Returns the version of a file of this format, or raises StudyError if the file has none.
    """
    try:
        newer = find_newer(
            revises,
            read_version,
            folders=(journal.folder, revises.parent),
            stems=(file.stem,),
            suffix=file.suffix,
        )
    except StudyError as error:
        return StudyPlan(file.study, (), (), (error,))
    if newer is None:
        return StudyPlan(file.study, (file,), (), ())
    reason = f"was already replaced by the newer version {newer}; name that file with --revises, or move it away"
    return StudyPlan(file.study, (), (), (StudyError(revises, reason),))


def name_drafts(
    journal: DraftJournal,
    studies: Iterable[Study],
    settings: Mapping[str, Mapping[str, Any]],
    *,
    own_settings: Sequence[Mapping[str, Any]] = (),
    other_suffixes: Collection[str] = (),
) -> tuple[tuple[DraftFile, ...], ...]:
    """Choose the files of each study's draft, and compute the digests of what determines them.

    The files of a study differ in their suffix only. Their stem is the name of the study, see `file_name`. Digits of
    the images' digest are added if several studies of the batch have the name, or if the folder has a draft of other
    images with this name, also in another format. A study whose draft is in the folder keeps its name.

    Args:
        journal: Journal of the folder.
        studies: Studies of one batch. The content of their files determines everything that the headers say.
        settings: By suffix, with its dot, of each file of a study: values that JSON can write, which determine the file
            beside the images.
        own_settings: Further such values of each study; empty if there are none.
        other_suffixes: Suffixes of formats that are not requested, but may be in the folder.
    """
    reserved = max(settings, key=len)
    studies = list(studies)
    batch = [
        tuple(
            DraftFile.of_study(study, suffix, folder=journal.folder, settings={**values, **own}, reserved=reserved)
            for suffix, values in settings.items()
        )
        for study, own in zip(studies, own_settings or [{}] * len(studies), strict=True)
    ]
    # `a.b` with the suffix `.c` and `a` with the suffix `.b.c` are the same name.
    keys = Counter(name_key(file.name) for files in batch for file in files)
    chosen = [
        _choose_stem(journal, files, other_suffixes, repeated=any(keys[name_key(file.name)] > 1 for file in files))
        for files in batch
    ]
    # Copies of one study under one name have the same digits.
    stems = unique_names(files[0].stem for files in chosen)
    return tuple(tuple(replace(file, stem=stem) for file in files) for files, stem in zip(chosen, stems, strict=True))


def _choose_stem(
    journal: DraftJournal, files: tuple[DraftFile, ...], other_suffixes: Collection[str], *, repeated: bool
) -> tuple[DraftFile, ...]:
    with_digits = tuple(file.with_digits(journal.folder) for file in files)
    for candidates in (files, with_digits):
        states = [journal.state(file) for file in candidates]
        if DraftState.OTHER_STUDY not in states and any(state.is_own for state in states):
            return candidates
    others = (replace(files[0], suffix=suffix) for suffix in other_suffixes)
    taken = any(journal.state(file) is DraftState.OTHER_STUDY for file in (*files, *others))
    return with_digits if repeated or taken else files
