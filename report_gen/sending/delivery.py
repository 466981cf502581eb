"""Send files one after the other, and try again after transient failures."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from time import sleep

from report_gen.errors import ReceiverError, ReportGenError, SendError, StudyError
from report_gen.sending.dicom_object import DicomObject
from report_gen.sending.receivers import Receiver

FIRST_DELAY = 1.0
"""Seconds before the first repetition; each further one waits twice as long."""
LONGEST_DELAY = 30.0

_log = logging.getLogger(__name__)


class Outcome(StrEnum):
    """What happened to a file."""

    STORED = "stored"
    FAILED = "failed"
    NOT_SENT = "not sent"
    """The receiver had failed before."""
    COMMITTED = "committed"
    """The receiver has taken responsibility for a file that it stored."""
    NOT_COMMITTED = "not committed"


@dataclass(frozen=True)
class SendResult:
    """What happened to a file, and why."""

    path: Path
    outcome: Outcome
    warning: str = ""
    """What the receiver changed in a file that it stored."""
    error: ReportGenError | None = None
    """Why the file is not stored."""


def send_files(receiver: Receiver, objects: Sequence[DicomObject], *, retries: int = 3) -> Iterator[SendResult]:
    """Send files in their order.

    Args:
        receiver: The receiver.
        objects: The files.
        retries: Repetitions of one file after a transient failure.

    Yields:
        A result for each file. A file that fails does not stop the others, but a receiver that fails does.
    """
    for number, item in enumerate(objects):
        try:
            warning = _store(receiver, item, retries)
        except ReceiverError as error:
            yield SendResult(item.path, Outcome.FAILED, error=error)
            yield from (SendResult(other.path, Outcome.NOT_SENT) for other in objects[number + 1 :])
            return
        except (SendError, StudyError) as error:
            yield SendResult(item.path, Outcome.FAILED, error=error)
        else:
            yield SendResult(item.path, Outcome.STORED, warning=warning)


def _store(receiver: Receiver, item: DicomObject, retries: int) -> str:
    delay = FIRST_DELAY
    for remaining in range(retries, -1, -1):
        try:
            return receiver.store(item)
        except SendError as error:
            if not error.is_transient or remaining == 0:
                raise
            _log.info("sending failed; next attempt in %.0f s, attempts left: %d", delay, remaining)
        sleep(delay)
        delay = min(2 * delay, LONGEST_DELAY)
    raise AssertionError  # the last attempt returns or raises
