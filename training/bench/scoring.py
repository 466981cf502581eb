"""What scoring costs, beside pycocoevalcap and rouge-score with the same texts."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import numpy as np

from report_gen.corpora import read_csv
from report_gen.errors import UsageError
from report_gen.files import write_atomically
from report_gen.metrics import METRICS
from report_gen.phantom import write_phantom_corpus
from report_gen.strict_json import parse_json

from .pairs import Case
from .startup import Start, measure_start

_TOLERANCE = 1e-9
"""Largest difference of two scores that are taken for equal."""
_PHANTOMS, _SIDE = 60, 16
"""Number of drawn studies whose reports are used by default, and the side length of their images."""

_Scores = tuple[float, ...]


class TextPairs(NamedTuple):
    """N drafts and the reports of the same studies."""

    drafts: list[str]
    reports: list[str]


def draw_pairs(reports: Sequence[str], count: int) -> TextPairs:
    """Compose random drafts and reports from the sentences of given reports.

    Each text has as many sentences as a randomly chosen report. Whole reports would repeat, and the labeler caches
    repeated texts.

    Args:
        reports: Texts whose sentences are used.
        count: Number N of pairs.
    """
    by_report = [_sentences(text) for text in reports]
    sentences = [sentence for report in by_report for sentence in report]
    generator = np.random.default_rng(0)

    def text() -> str:
        length = len(by_report[generator.integers(len(by_report))])
        drawn = " ".join(sentences[index] for index in generator.integers(len(sentences), size=length))
        return " ".join(drawn.split())  # coco-caption counts words between two spaces

    return TextPairs([text() for _ in range(count)], [text() for _ in range(count)])


def read_texts(path: Path | None, folder: Path) -> list[str]:
    """Return the reports of a CSV table with the columns `findings` and `impression`, or those of drawn studies.

    Args:
        path: The table; None for drawn studies.
        folder: Folder for the drawn studies.

    Raises:
        CorpusError: The table cannot be read.
        UsageError: The table has no report.
    """
    rows: Iterable[Mapping[str, str]]
    if path is None:
        corpus = write_phantom_corpus(folder / "phantoms", studies=_PHANTOMS, size=_SIDE)
        rows = [parse_json(line) for line in (corpus / "manifest.jsonl").read_text(encoding="utf-8").splitlines()]
    else:
        rows = read_csv(path)
    texts = [f"{row.get('findings') or ''} {row.get('impression') or ''}".strip() for row in rows]
    if not any(map(_sentences, texts)):
        raise UsageError(f"{path}: no report in the columns findings and impression; give another table")
    return [text for text in texts if _sentences(text)]


def require_scorers() -> None:
    """Raise UsageError if the other software is not installed."""
    for name in ("pycocoevalcap", "rouge_score"):
        if find_spec(name) is None:
            raise UsageError(f"--against pycocoevalcap needs {name}; install it with: pip install 'report-gen[bench]'")


def scoring_cases(pairs: TextPairs, *, against: bool) -> Iterator[Case]:
    """Yield a case for each measure of the wording, from the texts to the score of the corpus.

    Args:
        pairs: The texts, words separated by white space.
        against: Whether pycocoevalcap, and rouge-score for its measures, do the same work.
    """
    others: dict[str, Callable[[TextPairs], _Scores]] = {
        "report_bleu": _coco_bleu,
        "report_rouge_l": _coco_rouge_l,
        "report_cider_d": _coco_cider,
        "report_rouge": _rouge_score,
    }
    names = {
        "report_bleu": "BLEU-1 to BLEU-4",
        "report_rouge_l": "ROUGE-L",
        "report_cider_d": "CIDEr-D",
        "report_rouge": "ROUGE-1, -2 and -L (rouge-score)",
    }
    for name, other in others.items():
        yield Case(
            name=f"{names[name]}, {len(pairs.drafts)} pairs",
            units=1,
            unit="corpus",
            ours=_ours(name, pairs),
            theirs=_theirs(other, pairs) if against else None,
            agree=_agree,
        )


def measure_command(pairs: TextPairs, folder: Path, *, rounds: int) -> Start:
    """Measure `report-gen score` on the pairs in new processes: all measures without Java, and intervals.

    Args:
        pairs: The texts.
        folder: Folder for the files.
        rounds: Number of processes that count.

    Raises:
        OutputError: A file cannot be written.
    """
    for name, texts in (("drafts", pairs.drafts), ("reports", pairs.reports)):
        table = io.StringIO(newline="")
        writer = csv.writer(table)
        writer.writerow(["study_id", "report"])
        writer.writerows([f"s{number}", text] for number, text in enumerate(texts))
        write_atomically(folder / f"{name}.csv", table.getvalue())
    name = f"report-gen score, {len(pairs.drafts)} pairs"
    return measure_start(name, ["score", "drafts.csv", "reports.csv", "--no-java"], folder=folder, rounds=rounds)


def _sentences(text: str) -> list[str]:
    return [sentence for sentence in re.split(r"(?<=[.])\s+", text) if sentence]


def _agree(ours: object, theirs: object) -> bool:
    return np.allclose(np.asarray(ours), np.asarray(theirs), rtol=0, atol=_TOLERANCE)


def _ours(name: str, pairs: TextPairs) -> Callable[[], _Scores]:
    return lambda: tuple(METRICS[name].compute(pairs.drafts, pairs.reports).values())


def _theirs(score: Callable[[TextPairs], _Scores], pairs: TextPairs) -> Callable[[], _Scores]:
    return lambda: score(pairs)


def _coco_bleu(pairs: TextPairs) -> _Scores:
    from pycocoevalcap.bleu.bleu_scorer import BleuScorer

    scorer = BleuScorer(n=4)
    for draft, report in zip(*pairs, strict=True):
        scorer += (draft, [report])
    return tuple(scorer.compute_score(option="closest")[0])


def _coco_rouge_l(pairs: TextPairs) -> _Scores:
    from pycocoevalcap.rouge.rouge import Rouge

    drafts, reports = ({number: [text] for number, text in enumerate(side)} for side in pairs)
    return (float(Rouge().compute_score(reports, drafts)[0]),)


def _coco_cider(pairs: TextPairs) -> _Scores:
    from pycocoevalcap.cider.cider_scorer import CiderScorer

    scorer = CiderScorer(n=4, sigma=6.0)
    for draft, report in zip(*pairs, strict=True):
        scorer += (draft, [report])
    return (float(scorer.compute_score()[0]),)


def _rouge_score(pairs: TextPairs) -> _Scores:
    from rouge_score.rouge_scorer import RougeScorer

    kinds = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(kinds)
    scores = [scorer.score(report, draft) for draft, report in zip(*pairs, strict=True)]
    return tuple(float(np.mean([one[kind].fmeasure for one in scores])) for kind in kinds)
