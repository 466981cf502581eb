"""METEOR 1.5 (Denkowski and Lavie, WMT 2014) by its Java program, as coco-caption calls it: English, `-norm`.

The program, which is part of pycocoevalcap, aligns a draft with its report through equal words, stems, synonyms and
paraphrases, and returns counts. The score is computed from the counts here, so that a bootstrap does not call the
program again.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import threading
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from report_gen.errors import UsageError
from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.pairs import Pairs

TIME_LIMIT = 60.0
"""Seconds within which the program must answer. Loading its paraphrases before the first answer takes about ten."""

_REMEDY = "check `java -version`, or score with --no-java"
_STATISTICS = 23
_STAGE_WEIGHTS = np.array([1.0, 0.6, 0.8, 0.6])  # equal words, stems, synonyms, paraphrases
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  # the authors' values for English, task "rank"


def find_meteor() -> Path | None:
    """Return the path of the METEOR 1.5 program, or None if Java or pycocoevalcap is not installed."""
    spec = find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations or shutil.which("java") is None:
        return None
    jar = Path(spec.submodule_search_locations[0]) / "meteor" / "meteor-1.5.jar"
    return jar if jar.is_file() else None


def missing_for_meteor() -> str:
    """Return what METEOR 1.5 needs that is not installed, and how to install it, as one sentence."""
    needed = []
    if shutil.which("java") is None:
        needed.append("Java (Debian: apt-get install default-jre-headless, macOS: brew install openjdk)")
    if find_spec("pycocoevalcap") is None:
        needed.append(
            "its program meteor-1.5.jar, which the package pycocoevalcap contains "
            '(pip install "report-gen[meteor]", or pip install pycocoevalcap)'
        )
    if not needed:
        return "METEOR 1.5: the package pycocoevalcap lacks its program meteor-1.5.jar; reinstall this package"
    return f"METEOR 1.5 needs {' and '.join(needed)}"


class MeteorError(UsageError):
    """METEOR 1.5 cannot run here; the other metrics can."""


class Meteor:
    """The running METEOR 1.5 program, as a context manager. One process serves several systems."""

    def __init__(self) -> None:
        """Start the program.

        Raises:
            MeteorError: Java or pycocoevalcap is not installed, or Java cannot be started.
        """
        jar, java = find_meteor(), shutil.which("java")
        if jar is None or java is None:
            raise MeteorError(missing_for_meteor())
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115  # closed on exit
        self._timed_out = False
        try:
            self._process = subprocess.Popen(  # noqa: S603  # fixed arguments
                [java, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"],
                cwd=jar.parent,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._errors,
                encoding="utf-8",
                start_new_session=True,  # so that a wrapper script named java ends together with its children
            )
        except OSError as error:
            self._errors.close()
            raise MeteorError(f"METEOR 1.5: {java} cannot be started ({error.strerror}); {_REMEDY}") from error

    def __enter__(self) -> Meteor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._kill()
        with suppress(BrokenPipeError):  # an unsent line of a program that has ended
            self._process.communicate()
        self._errors.close()

    def __call__(self, pairs: Pairs) -> Measure:
        """Compute METEOR 1.5, 0 to 1.

        Raises:
            MeteorError: The program ended, did not answer in time, or returned an unexpected answer.
        """
        texts = list(zip(pairs.predictions, pairs.references, strict=True))
        counts = {pair: self._count(*pair) for pair in dict.fromkeys(texts)}  # collapsed drafts have many equal pairs
        statistics = [counts[pair] for pair in texts]
        return Measure(
            names=("METEOR 1.5",),
            statistics=np.array(statistics, dtype=np.float64).reshape(-1, _STATISTICS),
            finish=_finish,
            variant="java,en,norm",
        )

    def _count(self, prediction: str, reference: str) -> list[float]:
        """Return the 23 counts of a pair."""
        clean = [" ".join(text.replace("|||", " ").split()) for text in (reference, prediction)]
        return _parse(self._ask(f"SCORE ||| {clean[0]} ||| {clean[1]}\n"))

    def _ask(self, line: str) -> str:
        """Send a line to the program and return its answer. Raises MeteorError if there is none within TIME_LIMIT."""
        watchdog = threading.Timer(TIME_LIMIT, self._stop)
        watchdog.start()
        try:
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()
            answer = _pipe(self._process.stdout).readline()
        except (BrokenPipeError, UnicodeDecodeError):
            answer = ""
        finally:
            watchdog.cancel()
        if not answer:
            raise MeteorError(f"METEOR 1.5: {self._describe_end()}; {_REMEDY}")
        return answer

    def _stop(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def _describe_end(self) -> str:
        """Return why the program gives no more answers: the time limit, or its exit code and its first error line."""
        if self._timed_out:
            return f"java gave no answer within {TIME_LIMIT:.0f} seconds"
        try:
            code = self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            return "java closed its output"
        self._errors.seek(0)
        reason = self._errors.readline(300).decode(errors="replace").strip()
        return f"java ended with exit code {code}" + (f" ({reason})" if reason else "")


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise BrokenPipeError
    return pipe


def _parse(answer: str) -> list[float]:
    try:
        counts = [float(count) for count in answer.split()]
    except ValueError as error:
        raise MeteorError(
            f"METEOR 1.5: java answered {answer[:60].strip()!r}, which are not counts; {_REMEDY}"
        ) from error
    if len(counts) != _STATISTICS:
        raise MeteorError(
            f"METEOR 1.5 returned {len(counts)} counts instead of {_STATISTICS}; reinstall pycocoevalcap, or "
            "score with --no-java"
        )
    predicted, referenced, chunks, matched_predicted, matched_referenced = *counts[:2], *counts[20:]
    if (matched_predicted, matched_referenced, chunks) == (predicted, referenced, 1):
        counts[20] = 0.0  # the program, too, counts no chunk in a draft that is equal to its report
    return counts


def _finish(sums: Floats) -> Floats:
    """Compute the score [..., 1] from the sums of the program's 23 counts.

    Args:
        sums: [..., 23]: words of draft and report, function words of draft and report; for each of four stages the
            matched content words of both and the matched function words of both; chunks; matched words of both.
    """
    lengths, stages = sums[..., :4], sums[..., 4:20].reshape(*sums.shape[:-1], 4, 4)
    chunks, matched = sums[..., 20], sums[..., 21:]
    content = np.moveaxis(stages[..., :2], -1, 0) @ _STAGE_WEIGHTS
    function = np.moveaxis(stages[..., 2:], -1, 0) @ _STAGE_WEIGHTS
    words, function_words = np.moveaxis(lengths[..., :2], -1, 0), np.moveaxis(lengths[..., 2:], -1, 0)
    weighted = _DELTA * (words - function_words) + (1 - _DELTA) * function_words
    precision, recall = ratio(_DELTA * content + (1 - _DELTA) * function, weighted)
    mean = ratio(precision * recall, _ALPHA * precision + (1 - _ALPHA) * recall)
    fragmentation = ratio(chunks, matched.mean(axis=-1))
    return (mean * (1 - _GAMMA * fragmentation**_BETA))[..., None]
