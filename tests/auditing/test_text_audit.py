"""Text checks on sentences whose answer a radiologist would give."""

from __future__ import annotations

import pytest

from report_gen.auditing import (
    Contradiction,
    Flag,
    FlagKind,
    audit_text,
    find_contradictions,
    find_repeated_findings,
    find_repeated_sentences,
    has_deidentification_mark,
    mentions_prior,
    mentions_side,
    remove_deidentified_words,
    replace_deidentification_marks,
)
from report_gen.labeling import chest_xray
from report_gen.records import FindingPhrases, FindingSchema


@pytest.mark.parametrize(
    "sentence",
    [
        "Compared to the prior study, the effusion is larger.",
        "In comparison with the radiograph of yesterday, the lungs are clearer.",
        "No prior for comparison.",
        "Cardiomegaly is unchanged.",
        "Unchanged position of the tube.",
        "Interval placement of a left chest tube.",
        "Again seen is a small effusion.",
        "Stable cardiomegaly.",
        "There has been no change in the effusion.",
        "No significant interval change.",
        "The nodule was previously 4 mm.",
        "The edema has improved.",
        "Consolidation has worsened.",
        "The pneumothorax has resolved.",
        "Resolving pneumonia.",
        "New since the last examination.",
        "There is a new opacity at the left base.",
        "Persistent opacity in the lingula.",
        "The effusion has increased.",
        "Effusion increased in size.",
        "The chest tube has been removed.",
        "The heart remains enlarged.",
        "Pneumothorax is no longer seen.",
        "Redemonstration of a hiatal hernia.",
        "Lungs are now clear.",
        "Appearance is similar to the earlier radiograph.",
        "Worsening edema.",
        "Continued low lung volumes.",
        "Without change.",
        "Recurrent effusion.",
    ],
)
def test_sentences_about_an_earlier_study(sentence: str) -> None:
    assert mentions_prior(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The heart is enlarged.",
        "No pneumothorax.",
        "Patient is hemodynamically stable.",
        "The haemodynamically stable patient has a small effusion.",
        "Sequela of prior granulomatous disease.",
        "Degenerative changes of the spine.",
        "Postoperative changes of sternotomy.",
        "Old healed rib fractures.",
        "Increased interstitial markings.",
        "The remaining lungs are clear.",
        "Chronic interstitial changes.",
        "No degenerative changes.",
        "Low lung volumes.",
        "High-resolution CT shows emphysema.",
        "Recommend follow-up to document resolution.",
        "Lung volumes are decreased.",
        "",
    ],
)
def test_sentences_that_are_not_about_an_earlier_study(sentence: str) -> None:
    assert not mentions_prior(sentence)


@pytest.mark.parametrize(
    "text",
    [
        "XXXX are normal.",
        "Normal chest x-XXXX.",
        "Seen on ___.",
        "Discussed with Dr. [**Name**].",
        "Radiograph of [date].",
        "xxxx",
    ],
)
def test_texts_with_a_deidentification_mark(text: str) -> None:
    assert has_deidentification_mark(text)


@pytest.mark.parametrize("text", ["Normal chest x-ray.", "Grade XX.", "snake_case", "[L] marker", "Vertebra T12"])
def test_texts_without_a_deidentification_mark(text: str) -> None:
    assert not has_deidentification_mark(text)


def test_a_deidentified_word_is_removed_whole() -> None:
    text = "(XXXX-year-old), seen on ___, by Dr. [**Last Name**]; x-XXXX."
    assert remove_deidentified_words(text) == "(), seen on , by Dr. ; ."
    assert remove_deidentified_words("Chest x-ray of a 65-year-old") == "Chest x-ray of a 65-year-old"


def test_deidentification_marks_are_replaced_whole() -> None:
    text = "XXXX called Dr. [**Last Name (un) 12**] on ___ at [date]."
    assert replace_deidentification_marks(text, r"\1") == r"\1 called Dr. \1 on \1 at \1."


@pytest.mark.parametrize(
    "sentence",
    [
        "Small left effusion.",
        "Right-sided port.",
        "Leftward shift of the trachea.",
        "Bilateral opacities.",
        "Opacities bilaterally.",
        "Bibasilar atelectasis.",
        "Biapical scars.",
        "Both lungs are clear.",
        "Nodule in the lingula.",
        "Middle lobe pneumonia.",
        "RUL nodule.",
    ],
)
def test_sentences_that_name_a_side(sentence: str) -> None:
    assert mentions_side(sentence)


@pytest.mark.parametrize(
    "sentence", ["The lungs are clear.", "Bright lines.", "Both findings are old.", "Upper lobes."]
)
def test_sentences_that_name_no_side(sentence: str) -> None:
    assert not mentions_side(sentence)


def test_a_contradiction_has_both_sentences() -> None:
    text = "The heart is normal. Moderate cardiomegaly. No edema."
    assert find_contradictions(text) == (
        Contradiction(finding="Cardiomegaly", present="Moderate cardiomegaly.", absent="The heart is normal."),
    )


@pytest.mark.parametrize(
    "text",
    [
        "Small left effusion. No pleural effusion.",
        "No effusion on the left. Bilateral effusions.",
        "There is a pneumothorax. No pneumothorax is seen.",
        "FINDINGS: Left pneumonia. IMPRESSION: No pneumonia.",
        "A 5 mm nodule. No nodules.",
        "Rib fracture. No fracture.",
    ],
)
def test_contradictory_texts(text: str) -> None:
    assert len(find_contradictions(text)) == 1


@pytest.mark.parametrize(
    "text",
    [
        "Small left effusion. No right effusion.",
        "Small effusion. No large effusion.",
        "Old rib fracture. No acute fracture.",
        "Lungs are clear. Nodule in the left apex.",
        "No infiltrate. Streaky opacity at the base.",
        "Pacemaker. The chest tube has been removed.",
        "Possible effusion. No effusion.",
        "INDICATION: Pneumonia. FINDINGS: No pneumonia.",
        "No effusion. No effusion.",
    ],
)
def test_texts_without_a_contradiction(text: str) -> None:
    assert find_contradictions(text) == ()


@pytest.mark.parametrize(
    ("section", "repeated"),
    [
        ("Severe cardiomegaly. Mild cardiomegaly.", ("Cardiomegaly",)),
        ("Possible edema. Edema. Effusion. Pulmonary edema.", ("Edema", "Edema")),
        ("Left effusion. Small right effusion.", ()),
        ("Left effusion. Bilateral effusions.", ("Pleural Effusion",)),
        ("No edema. Edema.", ()),
        ("Left basilar opacity. Right apical opacity. Opacity.", ()),
        ("Effusion with edema and effusion.", ()),
    ],
)
def test_findings_that_a_section_states_again(section: str, repeated: tuple[str, ...]) -> None:
    assert find_repeated_findings(section, chest_xray()) == repeated


def test_repeated_sentences() -> None:
    text = "FINDINGS: 1. Lungs are clear. 2. No effusion. lungs are clear .\n\nIMPRESSION: 1. No effusion. 2. No edema."
    assert find_repeated_sentences(text) == ("lungs are clear .", "No effusion.")


def test_another_side_or_size_is_not_a_repetition() -> None:
    assert find_repeated_sentences("Left nodule of 5 mm. Right nodule of 5 mm. Left nodule of 8 mm.") == ()


def test_the_flags_of_a_text() -> None:
    text = "No effusion. XXXX is unchanged. Small effusion. No effusion."
    assert audit_text(text) == (
        Flag(FlagKind.PRIOR, "XXXX is unchanged.", "refers to an earlier study"),
        Flag(FlagKind.DEIDENTIFICATION, "XXXX is unchanged.", "contains a de-identification mark"),
        Flag(FlagKind.CONTRADICTION, "No effusion.", "denies Pleural Effusion, stated in: Small effusion."),
        Flag(FlagKind.REPETITION, "No effusion.", "repeats an earlier sentence"),
    )


def test_a_sound_text_has_no_flags() -> None:
    assert audit_text("The heart is normal in size. The lungs are clear. No pleural effusion or pneumothorax.") == ()
    assert audit_text("") == ()


def test_contradictions_of_another_schema() -> None:
    phrases = {"Haemorrhage": FindingPhrases(phrases=("haemorrhage*",))}
    schema = FindingSchema(name="head", findings=("Haemorrhage",), phrases=phrases)
    text = "There is a haemorrhage. No haemorrhage. There is cardiomegaly. The heart is normal in size."
    assert [found.finding for found in find_contradictions(text, schema)] == ["Haemorrhage"]
    assert [found.finding for found in find_contradictions(text)] == ["Cardiomegaly"]
