"""Metrics against the libraries of published scores, on 1,000 random pairs."""

from __future__ import annotations

import numpy as np
import pytest
import sacrebleu
from pycocoevalcap.bleu.bleu_scorer import BleuScorer
from pycocoevalcap.cider.cider_scorer import CiderScorer
from pycocoevalcap.rouge.rouge import Rouge as CocoRouge
from rouge_score.rouge_scorer import RougeScorer

from report_gen.metrics import Measure, Pairs, cider, cider_d, rouge_l_coco
from report_gen.metrics.bleu import bleu
from report_gen.metrics.chrf import chrf
from report_gen.metrics.length_ratio import length_ratio
from report_gen.metrics.rouge import rouge_score

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
    rng = np.random.default_rng(7)
    pairs = list(BY_HAND)
    while len(pairs) < count:
        reference = list(rng.choice(WORDS, rng.integers(40)))
        prediction = list(rng.choice(WORDS, rng.integers(40)))
        if rng.random() < 0.5:
            prediction = [word if rng.random() < 0.8 else rng.choice(WORDS) for word in reference if rng.random() < 0.9]
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


def test_cider_of_some_reports_with_the_frequencies_of_all_is_coco(
    pairs: Pairs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cider, "_BLOCK", 300)  # several blocks
    scorer = CiderScorer(n=4, sigma=6.0)
    for prediction, reference in zip(pairs.predictions, pairs.references, strict=True):
        scorer += (prediction, [reference])
    _, per_report = scorer.compute_score()
    frequencies = cider.document_frequencies(iter(pairs.references))
    some = cider_d(Pairs(pairs.predictions[:40], pairs.references[:40]), frequencies)
    np.testing.assert_allclose(some.per_report[:, 0], per_report[:40], rtol=0, atol=1e-9)
    assert some.variant == "sigma6,df:1000 reports"
    one = cider_d(Pairs(pairs.predictions[9:10], pairs.references[9:10]), frequencies)
    assert float(one.values[0]) == pytest.approx(per_report[9], abs=1e-9)


def test_cider_by_hand_with_the_frequencies_of_other_reports() -> None:
    """Four reports contain "no", three "effusion" and one "edema", which weighs like a word that no report contains."""
    frequencies = cider.document_frequencies(["no edema", "no effusion", "no effusion", "no effusion"])
    weights = {"no": 0.0, "effusion": np.log(4 / 3), "edema": np.log(4), "fracture": np.log(4)}
    unigrams = weights["edema"] / np.hypot(weights["edema"], weights["fracture"])  # cosine; "no" weighs nothing
    found = cider_d(Pairs(["no edema", "fracture"], ["edema no fracture", "effusion"]), frequencies).per_report[:, 0]
    assert found.tolist() == pytest.approx([10 * unigrams / 4 * np.exp(-1 / 72), 0])
    same = cider_d(Pairs(["no effusion", "no"], ["no effusion", "no"]), frequencies).per_report[:, 0]
    assert same.tolist() == pytest.approx([10 * 2 / 4, 0])  # its 1- and 2-grams are the same; it has no longer ones


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
