"""Known failures of text metrics, and how the other scores reveal each of them."""

from __future__ import annotations

import numpy as np
import pytest

from report_gen.evaluation import measure_image_use, shuffle_studies
from report_gen.metrics import finding_measures, label_reports, load_preset, score_reports

PRESET = "r2gen-iu"


def wording(prediction: str, reference: str, preset: str = PRESET) -> dict[str, float]:
    return {score.name: score.value for score in score_reports([prediction], [reference], preset=preset, draws=0)}


def findings(predictions: list[str], references: list[str]) -> dict[str, float]:
    measures = finding_measures(label_reports(predictions), label_reports(references))
    return {name: value for one in measures for name, value in zip(one.names, one.values.tolist(), strict=True)}


def test_a_lost_negation_keeps_the_words_and_loses_the_finding() -> None:
    assert wording("Pleural effusion.", "No pleural effusion.")["ROUGE-L (coco)"] > 0.8
    for draft, reference in [
        ("Pleural effusion.", "No pleural effusion."),
        ("No pleural effusion.", "Pleural effusion."),
    ]:
        found = findings([draft], [reference])
        assert found["micro F1, 14 findings, uncertain+"] == 0
        assert found["micro F1, 5 findings, uncertain+"] == 0
        assert found["per-report F1, 14 findings, uncertain+"] == 0
        assert found["Pleural Effusion F1, uncertain+"] == 0


def test_a_paraphrase_loses_the_words_and_keeps_the_finding() -> None:
    draft, reference = "Cardiomegaly noted.", "The heart is enlarged."
    assert wording(draft, reference)["BLEU-4"] < 0.01
    assert findings([draft], [reference])["micro F1, 14 findings, uncertain+"] == 1


def test_each_average_of_finding_f1_has_its_own_name() -> None:
    references = [
        "Pleural effusion.",
        "Pleural effusion. Cardiomegaly.",
        "Edema.",
        "Clear lungs.",
        "Fracture of a rib.",
    ]
    drafts = ["Pleural effusion.", "Pleural effusion.", "Clear lungs.", "Clear lungs.", "Cardiomegaly."]
    found = findings(drafts, references)
    f1 = [value for name, value in found.items() if " F1, 14 findings, uncertain+" in name or " F1, 5 findings" in name]
    assert len({round(value, 6) for value in f1}) >= 5


def test_case_and_full_stops_change_the_score_so_the_preset_is_in_the_signature() -> None:
    reference = "The lungs are clear. No effusion is seen."
    draft = "the lungs are clear . no effusion is seen ."
    assert wording(draft, reference)["BLEU-4"] == pytest.approx(1, abs=1e-6)
    assert wording(draft, reference, "raw")["BLEU-4"] < 0.4
    signatures = {
        score.signature for preset in (PRESET, "raw") for score in score_reports([draft], [reference], preset=preset)
    }
    assert len({signature.split("|form:")[0] for signature in signatures}) == 2


def test_the_two_kinds_of_rouge_l_differ_and_have_different_names() -> None:
    scores = wording("no effusion .", "there is no pleural effusion .")
    assert scores["ROUGE-L (coco)"] != pytest.approx(scores["ROUGE-L (rouge-score)"], abs=0.01)


def test_cider_depends_on_the_other_references() -> None:
    drafts, references = ["clear lungs .", "effusion .", "x ."], ["clear lungs .", "effusion .", "y ."]
    alone = score_reports(drafts[:2], references[:2], draws=0)
    among = score_reports(drafts, references, draws=0)
    name = "CIDEr-D"
    values = [next(score for score in scores if score.name == name) for scores in (alone, among)]
    assert values[0].value != pytest.approx(values[1].value)
    assert all("df:references" in score.signature for score in values)


def test_a_drafter_that_ignores_the_image_loses_nothing_without_it() -> None:
    references = [f"the lungs are clear . note {number} ." for number in range(20)]
    preset = load_preset("raw")
    ignoring = measure_image_use(["clear ."] * 20, ["clear ."] * 20, references, preset=preset, draws=100)
    assert all(difference.interval == (0, 0) for difference in ignoring)
    shuffled = [references[place] for place in shuffle_studies(20, 0)]
    using = {one.name: one for one in measure_image_use(references, shuffled, references, preset=preset, draws=100)}
    assert using["BLEU-4"].interval[0] > 0
    assert using["BLEU-4"].p_randomization < 0.05


def test_a_shuffle_leaves_no_study_its_own_image() -> None:
    for seed in range(20):
        order = shuffle_studies(7, seed)
        assert sorted(order) == list(range(7))
        assert not (np.array(order) == np.arange(7)).any()
