"""Corpora as they are taught: cleaned, cut, blended, recombined."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_gen_training.examples import Study, encode_study, read_studies
from report_gen_training.recipe import Recipe
from scipy.special import expit, logit

from report_gen import corpora
from report_gen.corpora.examples import Example, build_dataset
from report_gen.errors import CorpusError
from report_gen.model.config import STATES
from report_gen.report import FINDINGS, FindingState, format_report, parse_report
from report_gen.study import ViewPosition
from tests.builders import PROMPT, picture, tiny_recipe, tokenizer, write_manifest, write_png

NOTHING = np.full(14, np.nan, dtype=np.float32)


def study(**changes: Any) -> Study:
    values: dict[str, Any] = {
        "study_id": "1",
        "split": "train",
        "images": (),
        "views": (ViewPosition.PA,),
        "indication": "Cough.",
        "sections": parse_report("FINDINGS: There is a pleural effusion. No fracture. IMPRESSION: Possible edema."),
        "targets": NOTHING,
    }
    return Study(**values | changes)


def recipe(data: Path, *, corpus: dict[str, Any] | None = None, text: dict[str, Any] | None = None) -> Recipe:
    return tiny_recipe(
        data,
        corpora=[{"name": "films", "path": "films"} | (corpus or {})],
        text={"vocabulary_size": 200} | (text or {}),
    )


def manifest(data: Path, *rows: dict[str, Any]) -> Path:
    numbered = ({"study_id": str(number), "split": "train"} | row for number, row in enumerate(rows))
    write_manifest(data / "films", list(numbered))
    return data


FULL = {"findings": "Stable cardiomegaly. The XXXX is clear.", "impression": "Small left effusion."}


def test_texts_are_cleaned_as_the_recipe_says(tmp_path: Path) -> None:
    manifest(tmp_path, FULL)
    (plain,) = read_studies(recipe(tmp_path))["films"]
    assert format_report(plain.sections) == "FINDINGS:\nCardiomegaly.\n\nIMPRESSION:\nSmall left effusion."
    (sideless,) = read_studies(recipe(tmp_path, text={"drop_priors": False, "drop_sides": True}))["films"]
    assert format_report(sideless.sections) == "FINDINGS:\nStable cardiomegaly.\n\nIMPRESSION:\nSmall effusion."


def test_a_report_is_reconciled_where_the_recipe_says_so(tmp_path: Path) -> None:
    manifest(tmp_path, {"findings": "Small pleural effusion. No pleural effusion.", "impression": "Effusion."})
    (plain,) = read_studies(recipe(tmp_path))["films"]
    (reconciled,) = read_studies(recipe(tmp_path, text={"reconcile": True}))["films"]
    assert [len(one.sections[0].sentences) for one in (plain, reconciled)] == [2, 1]


def test_a_text_without_the_sections_asked_for_is_left_out(tmp_path: Path) -> None:
    manifest(tmp_path, FULL, {"findings": "Clear lungs.", "impression": ""})
    both = recipe(tmp_path, text={"sections": ["FINDINGS", "IMPRESSION"]})
    assert [found.study_id for found in read_studies(both)["films"]] == ["0"]
    assert len(read_studies(recipe(tmp_path))["films"]) == 2


def test_an_image_stays_when_its_text_does_not(tmp_path: Path) -> None:
    write_png(tmp_path / "films" / "a.png", picture())
    manifest(tmp_path, {"images": ["a.png"], "findings": "", "impression": "Normal.", "edema": 1})
    (found,) = read_studies(recipe(tmp_path))["films"]
    assert found.sections == ()
    assert [path.name for path in found.images] == ["a.png"]
    assert found.targets[FINDINGS.index("Edema")] == 1
    assert np.isnan(found.targets).sum() == 13


def test_images_or_texts_alone(tmp_path: Path) -> None:
    write_png(tmp_path / "films" / "a.png", picture())
    manifest(tmp_path, FULL | {"images": ["a.png"], "view": "PA"})
    (text,) = read_studies(recipe(tmp_path, corpus={"use_images": False}))["films"]
    assert (text.images, text.views, bool(text.sections)) == ((), (ViewPosition.PA,), True)
    (image,) = read_studies(recipe(tmp_path, corpus={"use_texts": False}))["films"]
    assert (len(image.images), image.sections) == (1, ())


def test_excluded_studies_are_nowhere(tmp_path: Path) -> None:
    manifest(tmp_path, FULL, FULL, FULL)
    found = read_studies(recipe(tmp_path, corpus={"exclude": ["0", "2"]}))["films"]
    assert [one.study_id for one in found] == ["1"]


def test_a_corpus_of_which_nothing_is_left_is_refused(tmp_path: Path) -> None:
    manifest(tmp_path, {"findings": "XXXX.", "impression": "XXXX."})
    with pytest.raises(CorpusError, match="nothing is left of the corpus 'films'; loosen its text settings"):
        read_studies(recipe(tmp_path))


def test_recombined_reports_join_the_training_split(tmp_path: Path) -> None:
    kinds = ("Small", "Large", "Moderate", "Left")
    rows = [{"findings": f"{kind} pleural effusion.", "impression": "Abnormal chest."} for kind in kinds]
    manifest(tmp_path, *rows, {"findings": "The heart is normal in size.", "impression": "Normal chest."})
    found = read_studies(recipe(tmp_path, corpus={"recombined": 5}))["films"]
    made = [one for one in found if one.study_id.startswith("recombined-")]
    assert 0 < len(made) <= 5
    assert {one.split for one in made} == {"train"}
    again = read_studies(recipe(tmp_path, corpus={"recombined": 5}))["films"]
    assert [one.sections for one in again] == [one.sections for one in found]


@pytest.mark.parametrize("share", [0.0, 0.7, 1.0])
def test_soft_labels_keep_the_prevalence_of_the_hard_ones(share: float, tmp_path: Path, monkeypatch: Any) -> None:
    hard = [1.0] * 3 + [0.0] * 9
    soft = list(np.random.default_rng(0).uniform(0.5, 0.9, 12))

    def row(value: float) -> tuple[float | None, ...]:
        return tuple(value if name == "Edema" else None for name in FINDINGS)

    examples = [
        Example(study_id=str(n), findings="Clear lungs.", labels=row(h), soft_labels=row(s))
        for n, (h, s) in enumerate(zip(hard, soft, strict=True))
    ]
    monkeypatch.setattr("report_gen_training.examples.read_corpus", lambda *_, **__: build_dataset(examples))
    found = read_studies(recipe(tmp_path, corpus={"soft_labels": share}))["films"]
    blended = np.array([one.targets[FINDINGS.index("Edema")] for one in found])
    assert blended.mean() == pytest.approx(0.25, abs=1e-4)
    assert np.isnan(np.delete(found[0].targets, FINDINGS.index("Edema"))).all()
    assert blended[:3].min() >= (1 - share) - 1e-6
    if share == 1.0:  # only shifted: their logits keep their distances
        np.testing.assert_allclose(np.diff(logit(blended)), np.diff(logit(soft)), atol=1e-3)
        assert expit(logit(blended)).max() < 0.9
    assert corpora.read_corpus is not None


def test_an_example_has_the_states_of_its_text() -> None:
    states = dict(zip(FINDINGS, encode_study(study(), tokenizer(), PROMPT, 100).states, strict=True))
    told = {name: STATES[state] for name, state in states.items() if STATES[state] is not FindingState.UNKNOWN}
    assert told == {
        "No Finding": FindingState.ABSENT,
        "Pleural Effusion": FindingState.PRESENT,
        "Fracture": FindingState.ABSENT,
        "Edema": FindingState.UNCERTAIN,
    }


def test_the_head_learns_from_a_text_where_the_corpus_has_no_labels() -> None:
    targets = encode_study(study(images=(Path("a.png"),)), tokenizer(), PROMPT, 100).targets
    by_name = dict(zip(FINDINGS, targets.tolist(), strict=True))
    assert by_name["Pleural Effusion"] == 1
    assert by_name["Fracture"] == by_name["Pneumonia"] == 0
    assert np.isnan(by_name["Edema"])


def test_labels_go_before_what_a_text_says() -> None:
    labels = NOTHING.copy()
    labels[0] = 1
    targets = encode_study(study(images=(Path("a.png"),), targets=labels), tokenizer(), PROMPT, 100).targets
    np.testing.assert_array_equal(targets, labels)


def test_wordings_of_the_prompt() -> None:
    def wordings(**changes: Any) -> list[str]:
        return [tokenizer().decode(ids) for ids in encode_study(study(**changes), tokenizer(), PROMPT, 100).prompts]

    assert wordings(images=(Path("a.png"),)) == ["Chest. PA Cough.", "Chest. PA"]
    assert wordings() == [
        *("Chest. PA Cough.", "Chest. PA Cough.", "Chest. AP Cough.", "Chest. frontal Cough.", "Chest. Cough."),
        *("Chest. PA", "Chest. PA", "Chest. AP", "Chest. frontal", "Chest."),
    ]


def test_a_long_report_is_cut_at_its_sentences() -> None:
    sections = parse_report("FINDINGS: " + "The heart is enlarged. " * 20 + "IMPRESSION: Cardiomegaly.")
    whole = encode_study(study(sections=sections), tokenizer(), PROMPT, 1000).report_ids
    cut = encode_study(study(sections=sections), tokenizer(), PROMPT, 60).report_ids
    assert len(cut) <= 60 < len(whole)
    findings, impression = parse_report(tokenizer().decode(cut))
    assert {sentence.text for sentence in findings.sentences} == {"The heart is enlarged."}
    assert impression.text == "Cardiomegaly."


def test_one_sentence_too_long_is_cut_where_it_must() -> None:
    sections = parse_report("The heart is enlarged and enlarged and enlarged and enlarged.")
    assert len(encode_study(study(sections=sections), tokenizer(), PROMPT, 8).report_ids) == 8
