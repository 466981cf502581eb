"""The arithmetic against the libraries that published figures were computed with, on 1,000 random pairs."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
from rouge_score.rouge_scorer import RougeScorer

from report_gen.scoring.bleu import bleu
from report_gen.scoring.chrf import chrf
from report_gen.scoring.cider import cider_d
from report_gen.scoring.length import length_ratio
from report_gen.scoring.measure import Measure
from report_gen.scoring.pairs import Pairs
from report_gen.scoring.rouge import rouge_l_coco, rouge_score

WORDS = [
    *(
        "no",
        "pleural",
        "effusion",
        "is",
        "seen",
        ".",
        "the",
        "lungs",
        "are",
        "clear",
        "heart-size",
        "normal",
        "1.5",
        "cm",
    ),
    *("œdème", "naïve", "肺", "Γ", "🫁", "x" * 40, "<unk>", "T8", "don't"),
]
BY_HAND = [
    ("", ""),
    ("", "the lungs are clear ."),
    ("the lungs are clear .", ""),
    ("clear", "clear"),
    ("clear", "normal"),
    ("no no no no no no", "no no"),
    ("the the the the", "the heart the heart the"),
    ("肺 🫁 œdème", "肺 œdème 🫁"),
]


def random_pairs(count: int = 1000) -> Pairs:
    """Half of the predictions are the reference with words dropped, repeated and replaced, as drafts are."""
    dice = np.random.default_rng(7)
    pairs = list(BY_HAND)
    while len(pairs) < count:
        reference = list(dice.choice(WORDS, dice.integers(40)))
        prediction = list(dice.choice(WORDS, dice.integers(40)))
        if dice.random() < 0.5:
            prediction = [
                word if dice.random() < 0.8 else dice.choice(WORDS) for word in reference if dice.random() < 0.9
            ]
        pairs.append((" ".join(prediction), " ".join(reference)))
    return Pairs(*zip(*pairs, strict=True))


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    return random_pairs()


def assert_same(measure: Measure, corpus: object, per_report: object, tolerance: float = 1e-9) -> None:
    np.testing.assert_allclose(measure.values, np.atleast_1d(corpus), rtol=0, atol=tolerance)
    np.testing.assert_allclose(measure.per_report, np.asarray(per_report), rtol=0, atol=tolerance)


def test_bleu_is_coco(pairs: Pairs) -> None:
    scorer = BleuScorer(n=4)
    for prediction, reference in zip(pairs.predictions, pairs.references, strict=True):
        scorer += (prediction, [reference])
    corpus, per_report = scorer.compute_score(option="closest")
    assert_same(bleu(pairs), corpus, np.array(per_report).T)


def test_bleu_is_sacrebleu(pairs: Pairs) -> None:
    theirs = sacrebleu.corpus_bleu(
        pairs.predictions, [pairs.references], tokenize="none", smooth_method="none", force=True
    )
    assert 100 * bleu(pairs).values[3] == pytest.approx(theirs.score, abs=1e-9)
    assert length_ratio(pairs).values[0] == pytest.approx(theirs.sys_len / theirs.ref_len, abs=1e-12)


def test_rouge_l_is_coco(pairs: Pairs) -> None:
    by_id = [{i: [text] for i, text in enumerate(side)} for side in (pairs.references, pairs.predictions)]
    corpus, per_report = CocoRouge().compute_score(*by_id)
    assert_same(rouge_l_coco(pairs), corpus, per_report[:, None])


def test_cider_is_coco(pairs: Pairs) -> None:
    scorer = CiderScorer(n=4, sigma=6.0)
    for prediction, reference in zip(pairs.predictions, pairs.references, strict=True):
        scorer += (prediction, [reference])
    corpus, per_report = scorer.compute_score()
    assert_same(cider_d(pairs), corpus, per_report[:, None])


def test_rouge_is_rouge_score(pairs: Pairs) -> None:
    forms = ("rouge1", "rouge2", "rougeL")
    scorer = RougeScorer(forms)
    theirs = [
        [scorer.score(reference, prediction)[form].fmeasure for form in forms]
        for prediction, reference in zip(pairs.predictions, pairs.references, strict=True)
    ]
    assert_same(rouge_score(pairs), np.mean(theirs, axis=0), theirs)


def test_chrf_is_sacrebleu(pairs: Pairs) -> None:
    corpus = sacrebleu.corpus_chrf(pairs.predictions, [pairs.references]).score
    per_report = [
        [sacrebleu.sentence_chrf(prediction, [reference]).score]
        for prediction, reference in zip(pairs.predictions, pairs.references, strict=True)
    ]
    assert_same(chrf(pairs), corpus, per_report)


@pytest.mark.parametrize("measure", [bleu, rouge_l_coco, rouge_score, cider_d, chrf, length_ratio])
def test_one_pair_and_none_are_scored(measure) -> None:
    assert np.isfinite(measure(Pairs(["clear"], ["clear"])).values).all()
    assert np.isfinite(measure(Pairs([""], [""])).values).all()
    assert (measure(Pairs([], [])).values == 0).all()
