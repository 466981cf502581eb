"""The one error tree. Every message names the file and the remedy; doors turn it into an exit code.

ReportGenError                 1  a fault of ours
├── UsageError                 2  the call cannot be understood
│   └── RecipeError            2  a training recipe with an unknown or ill-typed key
├── StudyError                 3  a study cannot be read or drafted; the others go on
│   └── NotAnImageError        3  a file without a picture: a structured report, a PDF, a text
├── CorpusError                3  a corpus cannot be read
├── CheckpointError            4  a checkpoint is missing, altered or does not fit
├── OutputError                5  a result cannot be written
├── ResourceError              5  the machine gave out: memory is exhausted, a helping process died
└── StoppedError       130, 143  Ctrl-C or SIGTERM ended a run that can be resumed
"""

from __future__ import annotations

from pathlib import Path


class ReportGenError(Exception):
    """Base of all errors that report-gen raises on purpose."""

    exit_code: int = 1


class UsageError(ReportGenError):
    exit_code = 2


class RecipeError(UsageError):
    pass


class StudyError(ReportGenError):
    """A study is refused. `path` is the file or folder at fault."""

    exit_code = 3

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # both, so that the error can be pickled
        self.path = path
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.path}: {self.reason}"


class NotAnImageError(StudyError):
    pass


class CorpusError(ReportGenError):
    exit_code = 3


class CheckpointError(ReportGenError):
    exit_code = 4


class OutputError(ReportGenError):
    exit_code = 5


class ResourceError(ReportGenError):
    exit_code = 5


class StoppedError(ReportGenError):
    """A run was asked to stop, and did. `signal` is the number of the signal that asked."""

    def __init__(self, message: str, signal: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal
