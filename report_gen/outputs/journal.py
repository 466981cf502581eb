"""Record which drafts a folder has, so that a batch that was stopped can continue where it stopped.

The folder of the drafts has a hidden file `.drafts.jsonl` with one line for each file of a draft:

    {"file": "...", "images": "...", "request": "...", "draft": "..."}

These are the SHA-256 of the file name, of the digests of the images, of everything that determines the draft, and of
the content of the file. A document with options such as --paper Letter also has `"layout": [["paper", "Letter"]]`. A
draft never replaces a draft of other images, whose study may have the same name.

A line is on the disk before its draft gets its final name. A draft with its final name is therefore complete and has
a line, even if the process is killed. A line without such a draft belongs to a draft that was not written. The
journal contains no name, date, identifier or text of a patient. The digest of a request also covers the digests of the
images, so the indication cannot be guessed from it without the images.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import stat
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum
from itertools import count
from pathlib import Path
from typing import Annotated, NamedTuple

import pydantic

from report_gen.config import FrozenModel
from report_gen.errors import OutputError, StudyError
from report_gen.files import name_key, output_error, remove_temporary_files, write_atomically
from report_gen.outputs.draft_file import DraftFile, digest
from report_gen.outputs.folder_names import FolderNames

JOURNAL = ".drafts.jsonl"
"""Name of the journal in the folder of the drafts."""

_BLOCK_BYTES = 2**20
_LINE_BYTES = 1000
"""Bytes that are kept of an unfinished line; an entry has 400 at most."""

_Digest = Annotated[str, pydantic.Field(pattern="^[0-9a-f]{64}$")]


class DraftState(Enum):
    """State of the file that has the name of a requested draft."""

    ABSENT = "no file"
    CURRENT = "the requested draft"
    OUTDATED = "a draft of the same images with other options"
    EDITED = "the requested draft, changed after it was written"
    OTHER_STUDY = "a draft of other images, also if it was changed"
    CHANGED = "a draft of the same images with other options, changed after it was written"
    FOREIGN = "another file"

    @property
    def is_own(self) -> bool:
        """Whether the file belongs to the images of the draft."""
        return self in (DraftState.CURRENT, DraftState.OUTDATED) or self.is_edited

    @property
    def is_edited(self) -> bool:
        """Whether the file is a draft of the images that was changed after it was written."""
        return self in (DraftState.EDITED, DraftState.CHANGED)


class WrittenDraft(NamedTuple):
    """A draft that was written."""

    file: DraftFile
    """The file, which has another name than requested if a draft of other images had that name."""
    replaced: DraftState
    """State of the file that had this name before."""


class DraftJournal:
    """The drafts that a folder has. Obtained from `open_journal`.

    Args:
        folder: Folder of the drafts.
        descriptor: The journal, open for reading and for appending.
    """

    def __init__(self, folder: Path, descriptor: int) -> None:
        self.folder, self._descriptor = folder, descriptor
        self._entries = defaultdict[str, list[_Entry]](list)
        """By the digest of the file name."""
        self._position, self._last_line = 0, b""
        self._read_on()
        if self._last_line:  # torn by a power failure; the line may be complete except for its end
            self._append(b"")

    def state(self, draft_file: DraftFile) -> DraftState:
        """Return the state of the file that has the name of a draft."""
        path = self.folder / draft_file.name
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                return DraftState.FOREIGN
            with path.open("rb") as file:
                draft = hashlib.file_digest(file, "sha256").hexdigest()
        except FileNotFoundError:
            return DraftState.ABSENT
        except OSError:
            return DraftState.FOREIGN
        self._read_on()
        entries = self._entries.get(_file_digest(draft_file))
        if not entries:
            return DraftState.FOREIGN
        unchanged = [entry for entry in entries if entry.draft == draft]
        # The newest entry with this text wrote the file. An edited file is of one of the studies of this name.
        owners = {entry.images for entry in unchanged[-1:] or entries}
        if owners != {draft_file.images}:
            return DraftState.OTHER_STUDY
        own = [entry for entry in unchanged or entries if entry.images == draft_file.images]
        is_requested = any(entry.request == draft_file.request for entry in own)
        if unchanged:
            return DraftState.CURRENT if is_requested else DraftState.OUTDATED
        return DraftState.EDITED if is_requested else DraftState.CHANGED

    def layout(self, draft_file: DraftFile) -> dict[str, str | bool]:
        """Return the options that the newest document of the same images and name was written with."""
        entries = self._entries.get(_file_digest(draft_file), ())
        own = [entry.layout for entry in entries if entry.images == draft_file.images]
        return dict(own[-1]) if own else {}

    def write(self, draft_file: DraftFile, document: bytes, *, overwrite: bool = False) -> WrittenDraft:
        """Record a draft, then write it. An earlier file of that name is replaced if it is an unchanged draft.

        A draft of other images with this name is kept, and the new draft gets digits of its images in its name.

        Args:
            draft_file: Name and request of the draft.
            document: Content of the file.
            overwrite: Also replace a draft of the same images that was edited.

        Raises:
            StudyError: The earlier file is not an unchanged draft.
            OutputError: The journal or the draft cannot be written. An earlier file of that name is unchanged.
        """
        # The file is compared again, because a user or another process may have written it meanwhile.
        for candidate in (draft_file, draft_file.with_digits(self.folder)):
            while (state := self.state(candidate)) is not DraftState.OTHER_STUDY:
                if state is DraftState.FOREIGN or (state.is_edited and not overwrite):
                    raise self.refusal(candidate, state)
                if self._write(candidate, document, state):
                    return WrittenDraft(candidate, state)
                # The file that another process has just written may be the draft of the same images.
        raise self.refusal(draft_file, DraftState.OTHER_STUDY)

    def write_version(self, draft_file: DraftFile, document: bytes) -> WrittenDraft:
        """Record a draft, then write it under the name of the next version: NAME-v2, NAME-v3 and so on.

        Raises:
            OutputError: The journal or the draft cannot be written.
        """
        for number in count(max(FolderNames(self.folder).version_numbers(draft_file), default=1) + 1):
            candidate = draft_file.with_version(number, self.folder)
            if self.state(candidate) is DraftState.ABSENT and self._write(candidate, document, DraftState.ABSENT):
                return WrittenDraft(candidate, DraftState.ABSENT)
        raise AssertionError  # `count` does not end

    def _write(self, draft_file: DraftFile, document: bytes, state: DraftState) -> bool:
        """Record and write a draft. Return False if another process has just written a file of that name."""
        self._record(draft_file, document)
        try:
            write_atomically(self.folder / draft_file.name, document, replace=state is not DraftState.ABSENT)
        except FileExistsError:
            return False
        return True

    def _record(self, draft_file: DraftFile, document: bytes) -> None:
        entry = _Entry(
            file=_file_digest(draft_file),
            images=draft_file.images,
            request=draft_file.request,
            draft=hashlib.sha256(document).hexdigest(),
            layout=draft_file.layout,
        )
        self._append(entry.model_dump_json(exclude_defaults=True).encode() + b"\n")

    def refusal(self, draft_file: DraftFile, state: DraftState) -> StudyError:
        """Return the error of a study whose draft would replace a file that is kept."""
        reason = "is not a draft of this study, so it is kept; move it away, or choose another folder"
        if state.is_edited:
            reason = "was edited, so it is kept; move it away, choose another folder, or replace it with --overwrite"
        return StudyError(self.folder / draft_file.name, reason)

    def _append(self, line: bytes) -> None:
        """Write a line to the disk in one call, so that lines of processes that draft into one folder do not mix."""
        self._read_on()
        if self._last_line:  # torn by a power failure or a full disk; the next entry needs a line of its own
            line = b"\n" + line
        try:
            if os.write(self._descriptor, line) < len(line):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.fsync(self._descriptor)
        except OSError as error:
            raise output_error(self.folder / JOURNAL, error) from error

    def _read_on(self) -> None:
        """Read the entries that were appended since the last call, also by other processes. Other lines are ignored."""
        while block := os.pread(self._descriptor, _BLOCK_BYTES, self._position):
            self._position += len(block)
            *lines, last_line = (self._last_line + block).split(b"\n")
            self._last_line = last_line[-_LINE_BYTES:]
            for line in lines:
                with suppress(pydantic.ValidationError):
                    entry = _Entry.model_validate_json(line)
                    self._entries[entry.file].append(entry)


class _Entry(FrozenModel):
    """A line of the journal."""

    file: _Digest
    images: _Digest
    request: _Digest
    draft: _Digest
    layout: tuple[tuple[str, str | bool], ...] = ()


@contextmanager
def open_journal(folder: Path, *, resume: bool = False) -> Iterator[DraftJournal]:
    """Open the journal of a folder, which is created if it does not exist.

    Several processes may draft into one folder at the same time.

    Args:
        folder: Folder of the drafts.
        resume: Remove unfinished files of processes that were killed, unless another process drafts into the folder.

    Raises:
        OutputError: The folder or the journal cannot be written.
    """
    path = folder / JOURNAL
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise output_error(folder, error) from error
    descriptor = _open_shared(path, resume=resume)
    try:
        yield DraftJournal(folder, descriptor)
    finally:
        with suppress(OSError):
            if os.fstat(descriptor).st_size == 0 and _lock_alone(descriptor):  # nothing was written
                path.unlink()
        os.close(descriptor)


def _open_shared(path: Path, *, resume: bool) -> int:
    """Open a journal with a shared lock, as every process of its folder has one. See `open_journal`."""
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o666)
        except OSError as error:
            raise output_error(path, error) from error
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise OutputError(f"{path}: is not a regular file; remove it or choose another folder")
            if _lock_alone(descriptor) and resume:
                remove_temporary_files(path.parent)
            with suppress(OSError):
                fcntl.flock(descriptor, fcntl.LOCK_SH)
            with suppress(FileNotFoundError):  # another process has removed its empty journal
                if os.path.samestat(os.fstat(descriptor), path.stat()):
                    return descriptor
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _file_digest(draft_file: DraftFile) -> str:
    """Return a digest that is equal for names which a file system may treat as the same file."""
    return digest(name_key(draft_file.name))


def _lock_alone(descriptor: int) -> bool:
    """Return whether no other process has the journal open. A file system without locks gives False."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
