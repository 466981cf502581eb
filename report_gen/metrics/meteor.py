"""METEOR 1.5 (Denkowski and Lavie, WMT 2014) by its Java program, as coco-caption calls it: English, `-norm`.

The program, which is part of pycocoevalcap, aligns a draft with its report through equal words, stems, synonyms and
paraphrases, and returns counts. The score is computed from the counts here, so that a bootstrap does not call the
program again.
"""

from __future__ import annotations

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import IO

import numpy as np

from report_gen.errors import UsageError
from report_gen.metrics.measure import Floats, Measure, ratio
from report_gen.metrics.pairs import Pairs

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


class Meteor:
    """The running METEOR 1.5 program, as a context manager. One process serves several systems."""

    def __init__(self) -> None:
        """Start the program.

        Raises:
            UsageError: Java or pycocoevalcap is not installed.
        """
        jar, java = find_meteor(), shutil.which("java")
        if jar is None or java is None:
            raise UsageError("METEOR 1.5 needs Java and pycocoevalcap; install Java and `pip install pycocoevalcap`")
        self._process = subprocess.Popen(  # noqa: S603  # fixed arguments
            [java, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"],
            cwd=jar.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self._cached: dict[tuple[str, str], list[float]] = {}

    def __enter__(self) -> Meteor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, pairs: Pairs) -> Measure:
        """Compute METEOR 1.5, 0 to 1.

        Raises:
            UsageError: The program ended or returned an unexpected answer.
        """
        statistics = [self._count(*pair) for pair in zip(pairs.predictions, pairs.references, strict=True)]
        return Measure(
            names=("METEOR 1.5",),
            statistics=np.array(statistics, dtype=np.float64).reshape(-1, _STATISTICS),
            finish=_finish,
            variant="java,en,norm",
        )

    def _count(self, prediction: str, reference: str) -> list[float]:
        """Return the 23 counts of a pair. Equal pairs, which collapsed drafts have many of, are counted once."""
        counts = self._cached.get((prediction, reference))
        if counts is None:
            clean = [" ".join(text.replace("|||", " ").split()) for text in (reference, prediction)]
            answer = self._ask(f"SCORE ||| {clean[0]} ||| {clean[1]}\n")
            counts = self._cached[prediction, reference] = _parse(answer)
        return counts

    def _ask(self, line: str) -> str:
        try:
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()
        except BrokenPipeError as error:
            raise UsageError("METEOR 1.5 ended early; check `java -version`, or score with --no-java") from error
        return _pipe(self._process.stdout).readline()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise BrokenPipeError
    return pipe


def _parse(answer: str) -> list[float]:
    counts = [float(count) for count in answer.split()]
    if len(counts) != _STATISTICS:
        raise UsageError(f"METEOR 1.5 returned {len(counts)} counts instead of {_STATISTICS}; reinstall pycocoevalcap")
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
