"""The errors that report-gen raises on purpose. Each message names the file and the remedy.

A command line prints the message and ends with the exit code of the error:

ReportGenError                 1  a fault of report-gen
├── UsageError                 2  an option or an argument cannot be understood
│   └── RecipeError            2  a training recipe has an unknown key or a value of the wrong type
├── StudyError                 3  a study cannot be read or drafted; other studies are not affected
│   ├── NotAnImageError        3  a file contains no image: a structured report, a PDF, a text
│   ├── NoDraftError           3  a model refused to report a study, or wrote no report
│   ├── StudyTimeoutError      3  a study took longer than the time limit
│   └── ScopeError             3  a model was not made for a study, such as a radiograph of a hand
├── CorpusError                3  a corpus cannot be read
├── CheckpointError            4  a checkpoint is missing, altered or does not fit
├── OutputError                5  a result cannot be written
├── ResourceError              5  memory is exhausted, or a worker process died
├── SendError                  7  a receiver did not store a file; other files are not affected
│   └── ReceiverError          7  a receiver cannot be reached or takes nothing, so no further file is sent
└── StoppedError  129, 130, 143  SIGHUP, Ctrl-C or SIGTERM ended a run that can be resumed

The exit code is 6 if the drafts fail `score --strict`, or a corpus fails `corpus check --strict`. It is 141 if the
program that reads standard output has ended, as after `report-gen ... | head -1`.
"""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path
from typing import TypeVar

_OUT_OF_MEMORY = ("out of memory", "allocate memory", "unable to allocate", "not enough memory", "bad_alloc")
"""Parts of the messages by which torch, Pillow and the decoders of pydicom say that memory is exhausted."""

_URL = re.compile(r"([A-Za-z][A-Za-z0-9+.-]+):/+(?=[^/])")
"""A scheme (RFC 3986, section 3.1) of at least two letters, because one letter is the drive of a Windows path."""

_Error = TypeVar("_Error", bound=BaseException)


class ReportGenError(Exception):
    """Base of all errors that report-gen raises on purpose."""

    exit_code: int = 1
    """Exit code of a command line that ends with this error."""


class UsageError(ReportGenError):
    """An option or an argument cannot be understood."""

    exit_code = 2


class RecipeError(UsageError):
    """A training recipe has an unknown key or a value of the wrong type."""


class StudyError(ReportGenError):
    """A study cannot be read or drafted.

    Args:
        path: The file or folder at fault.
        reason: What is wrong with it, and what to do.
    """

    exit_code = 3

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # both, so that the error can be pickled
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{name_path(self.path)}: {self.reason}"


class NotAnImageError(StudyError):
    """A file contains no image, for example a structured report, a PDF or a text.

    Args:
        path: The file.
        reason: What is wrong with it, and what to do.
        kind: For DICOM the name of the SOP class, such as "Basic Text SR Storage"; empty for other files.
    """

    def __init__(self, path: Path, reason: str, kind: str = "") -> None:
        super().__init__(path, reason)
        self.kind = kind


class ScopeError(StudyError):
    """A model was not made for a study.

    Args:
        path: The file or folder of the study.
        found: What is outside the scope of the model.
        code: Name of the rule, such as `body-part`; part of the message, so that scripts can tell the reasons apart.
        made_for: What the model was made for instead; empty if `found` says it.
        hint: What to do, from a semicolon on; empty if nothing can be done.
    """

    def __init__(self, path: Path, found: str, code: str, made_for: str = "", hint: str = "") -> None:
        super().__init__(path, (f"{found}, and the model was made for {made_for}" if made_for else found) + hint)
        self.args = (path, found, code, made_for, hint)  # so that the error can be pickled
        self.found, self.code, self.hint = found, code, hint

    def __str__(self) -> str:
        return f"{name_path(self.path)}: outside the scope of the model [{self.code}]: {self.reason}"


class NoDraftError(StudyError):
    """A model refused to report a study, or wrote a text that is not a report."""


class StudyTimeoutError(StudyError):
    """The draft of a study took longer than the time limit."""


class CorpusError(ReportGenError):
    """A corpus cannot be read."""

    exit_code = 3


class CheckpointError(ReportGenError):
    """A checkpoint is missing, altered or does not fit the program."""

    exit_code = 4


class OutputError(ReportGenError):
    """A result cannot be written."""

    exit_code = 5


class ResourceError(ReportGenError):
    """Memory is exhausted, or a worker process died."""

    exit_code = 5


class SendError(ReportGenError):
    """A receiver did not store a file.

    Args:
        message: The file or the receiver, what is wrong, and what to do.
        is_transient: Whether the same file may be stored if it is sent again.
    """

    exit_code = 7

    def __init__(self, message: str, *, is_transient: bool = False) -> None:
        super().__init__(message)
        self.is_transient = is_transient


class ReceiverError(SendError):
    """A receiver cannot be reached, or takes no file of this sender."""


class StoppedError(ReportGenError):
    """A run was stopped by a signal and can be resumed.

    Args:
        message: What was stopped, and how to resume.
        signal: Number of the signal; the exit code is 128 plus this number.
    """

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal


def url_of(path: str | os.PathLike[str]) -> str:
    """Return the URL that was given as a path; an empty text for any other path.

    The two slashes of the URL are restored, because `Path` joins them to one.
    """
    text = os.fspath(path)
    found = _URL.match(text)
    return f"{found[1]}://{text[found.end() :]}" if found else ""


def name_path(path: str | os.PathLike[str]) -> str:
    """Return how messages name a path: as the user wrote it, also if it is a URL."""
    return url_of(path) or os.fspath(path)


def describe_missing(path: Path, otherwise: str = "does not exist; check the path") -> str:
    """Return why a path that does not exist cannot be read, and what to do.

    Args:
        path: The path.
        otherwise: What is returned if the path is not a URL.
    """
    return (
        "is a URL, and only files on this computer are read; download it, and give its path"
        if url_of(path)
        else otherwise
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an exception of Python, NumPy, Pillow, torch or the system says that memory is exhausted."""
    if isinstance(error, MemoryError) or (isinstance(error, OSError) and error.errno == errno.ENOMEM):
        return True
    is_library_error = isinstance(error, RuntimeError | OSError)
    return is_library_error and any(words in str(error).lower() for words in _OUT_OF_MEMORY)


def without_traceback(error: _Error) -> _Error:
    """Remove the traceback and the causes of an error that is kept while other studies are read. Return the error.

    A traceback keeps the local variables of every frame, such as the pixels of the broken image.
    """
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error
