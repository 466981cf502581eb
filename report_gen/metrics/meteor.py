"""METEOR 1.5 (Denkowski and Lavie, WMT 2014) by its own Java program, as coco-caption calls it: English, `-norm`.

The program aligns a draft with its report through equal words, stems, synonyms and paraphrases and gives counts; the
score is computed from them here, so that a bootstrap does not call the program again. It comes with pycocoevalcap.
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
_ALPHA, _BETA, _GAMMA, _DELTA = 0.85, 0.2, 0.6, 0.75  # tuned for English by its authors, task "rank"


def find_meteor() -> Path | None:
    """The METEOR 1.5 program, where both a Java and pycocoevalcap are installed."""
    spec = find_spec("pycocoevalcap")
    if spec is None or not spec.submodule_search_locations or shutil.which("java") is None:
        return None
    jar = Path(spec.submodule_search_locations[0]) / "meteor" / "meteor-1.5.jar"
    return jar if jar.is_file() else None


class Meteor:
    """The running program, to be used as a context: it starts loading at once and stays up for several systems.

    Raises UsageError where it is not installed or ends before its time.
    """

    def __init__(self) -> None:
        jar, java = find_meteor(), shutil.which("java")
        if jar is None or java is None:
            raise UsageError("METEOR 1.5 needs Java and pycocoevalcap; install a Java and `pip install pycocoevalcap`.")
        self._process = subprocess.Popen(  # noqa: S603  # our own arguments
            [java, "-Dfile.encoding=UTF-8", "-Xmx2G", "-jar", jar.name, "-", "-", "-stdio", "-l", "en", "-norm"],
            cwd=jar.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self._known: dict[tuple[str, str], list[float]] = {}

    def __enter__(self) -> Meteor:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, where: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()

    def __call__(self, pairs: Pairs) -> Measure:
        """METEOR 1.5, 0..1."""
        statistics = [self._count(*pair) for pair in zip(pairs.predictions, pairs.references, strict=True)]
        return Measure(
            names=("METEOR 1.5",),
            statistics=np.array(statistics, dtype=np.float64).reshape(-1, _STATISTICS),
            finish=_finish,
            recipe="java,en,norm",
        )

    def _count(self, prediction: str, reference: str) -> list[float]:
        """The 23 counts of a pair; equal pairs, of which collapsed drafts have many, are counted once."""
        counts = self._known.get((prediction, reference))
        if counts is None:
            clean = [" ".join(text.replace("|||", " ").split()) for text in (reference, prediction)]
            answer = self._ask(f"SCORE ||| {clean[0]} ||| {clean[1]}\n")
            counts = self._known[prediction, reference] = _parse(answer)
        return counts

    def _ask(self, line: str) -> str:
        try:
            _pipe(self._process.stdin).write(line)
            _pipe(self._process.stdin).flush()
        except BrokenPipeError as error:
            raise UsageError("METEOR 1.5 ended before its time; run `java -version`, or score without Java.") from error
        return _pipe(self._process.stdout).readline()


def _pipe(pipe: IO[str] | None) -> IO[str]:
    if pipe is None:
        raise BrokenPipeError
    return pipe


def _parse(answer: str) -> list[float]:
    counts = [float(count) for count in answer.split()]
    if len(counts) != _STATISTICS:
        raise UsageError(f"METEOR 1.5 gave {len(counts)} counts instead of {_STATISTICS}; reinstall pycocoevalcap.")
    said, meant, chunks, matched_said, matched_meant = *counts[:2], *counts[20:]
    if (matched_said, matched_meant, chunks) == (said, meant, 1):
        counts[20] = 0.0  # a draft equal to its report is not fragmented, nor does the program count its chunk
    return counts


def _finish(sums: Floats) -> Floats:
    """Scores [..., 1] from the program's 23 counts.

    They are: words and of these function words, of draft and report in turn [..., 4]; for each of four stages the
    matched content words and function words, of both in turn [..., 4, 4]; chunks; matched words of both.
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
