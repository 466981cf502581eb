"""Find documents beside a new draft that belong to an older draft or to other images of the same study."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

from report_gen.outputs.draft_file import DraftFile
from report_gen.outputs.draft_plan import find_later_version
from report_gen.outputs.folder_names import FolderNames
from report_gen.outputs.formats import OutputFormat
from report_gen.outputs.journal import DraftJournal, DraftState


class OlderDocument(NamedTuple):
    """A document of an older draft in the folder, in a format that is not written now."""

    name: str
    """File name."""
    output_format: OutputFormat
    """Its format."""
    layout: Mapping[str, str | bool]
    """Options of its format that the document was written with, see `LAYOUT_OPTIONS`."""
    is_edited: bool
    """Whether it was changed after it was written."""
    is_version: bool
    """Whether it is a later version, which only a further version may replace."""


def find_outdated(
    journal: DraftJournal,
    names: FolderNames,
    file: DraftFile,
    formats: Iterable[tuple[OutputFormat, Mapping[str, Any]]],
) -> Iterator[OlderDocument]:
    """Yield the documents beside a new one that belong to an older draft of the same study.

    A document that was written with the same settings belongs to the same draft and is not outdated. Of a document with
    later versions, the newest version counts.

    Args:
        journal: Journal of the folder.
        names: File names of the folder.
        file: The new document, without the number of a version.
        formats: The other formats, each with its settings of the new draft, as in `name_drafts`. The settings do not
            contain `LAYOUT_OPTIONS`, which do not make a document older.
    """
    for output_format, settings in formats:
        first = replace(file, suffix=output_format.suffix)
        later = find_later_version(journal, names, first, output_format.read_version)
        found = later or first
        layout = journal.layout(found)
        requested = DraftFile.of_study(file.study, found.suffix, folder=journal.folder, settings={**settings, **layout})
        state = journal.state(replace(requested, stem=found.stem))
        if state in (DraftState.OUTDATED, DraftState.CHANGED):
            yield OlderDocument(found.name, output_format, layout, state.is_edited, later is not None)


def find_other_images(
    journal: DraftJournal, names: FolderNames, file: DraftFile, suffixes: Collection[str]
) -> Iterator[str]:
    """Yield the names of drafts of the same study from other images, such as those before a further view arrived.

    Only the Study Instance UID in the name proves that a draft is of the same study.

    Args:
        journal: Journal of the folder.
        names: File names of the folder.
        file: The new document.
        suffixes: Suffixes of all formats.
    """
    uid = file.study.study_instance_uid
    if uid is None or file.study.name != uid:
        return
    stem = re.compile(f"{re.escape(uid)}(-[0-9a-f]{{12}})?(-v[1-9][0-9]*)?")
    longest_first = sorted(suffixes, key=len, reverse=True)
    for name in names.starting_with(uid):
        suffix = next((one for one in longest_first if name.endswith(one)), "")
        other = replace(file, stem=name.removesuffix(suffix), suffix=suffix)
        if suffix and stem.fullmatch(other.stem) and journal.state(other) is DraftState.OTHER_STUDY:
            yield name
