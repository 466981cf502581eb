"""What a sentence says about an earlier study stays only if the changes of the findings support it."""

from __future__ import annotations

import pytest

from report_gen.auditing import mentions_prior, remove_contradicted_comparisons, remove_prior, stated_change
from report_gen.labeling import chest_xray
from report_gen.records import ChangeState, Section, format_report, parse_report

NEW, UNCHANGED, IMPROVED, WORSENED, RESOLVED = ChangeState


@pytest.mark.parametrize(
    ("sentence", "change"),
    [
        ("There is a new opacity at the left base.", NEW),
        ("Interval development of a small effusion.", NEW),
        ("The effusion has developed since the prior study.", NEW),
        ("Stable cardiomegaly.", UNCHANGED),
        ("The effusion is unchanged.", UNCHANGED),
        ("Again seen is a small effusion.", UNCHANGED),
        ("There is no significant interval change in the effusion.", UNCHANGED),
        ("The heart remains enlarged.", UNCHANGED),
        ("The edema has improved.", IMPROVED),
        ("The effusion has slightly decreased.", IMPROVED),
        ("Resolving pneumonia.", IMPROVED),
        ("Worsening edema.", WORSENED),
        ("The effusion has increased.", WORSENED),
        ("Compared with the prior study, the effusion is larger.", WORSENED),
        ("The pneumothorax has resolved.", RESOLVED),
        ("Pneumothorax is no longer seen.", RESOLVED),
        ("The edema has cleared.", RESOLVED),
        ("No new effusion.", None),
        ("The edema has not improved.", None),
        ("The effusion is larger and the pneumothorax has resolved.", None),
        ("Compared with the prior study.", None),
        ("The heart is enlarged.", None),
    ],
)
def test_the_change_that_a_sentence_states(sentence: str, change: ChangeState | None) -> None:
    assert stated_change(sentence) is change


def cleaned(text: str, **changes: ChangeState) -> tuple[str, int]:
    names = {"effusion": "Pleural Effusion", "edema": "Edema", "heart": "Cardiomegaly"}
    known = {names[name]: {change} for name, change in changes.items()}
    sections, changed = remove_contradicted_comparisons(parse_report(text), known, chest_xray())
    return " ".join(section.text for section in sections), changed


@pytest.mark.parametrize(
    ("text", "changes", "expected"),
    [
        # Without an earlier study no comparison remains.
        ("Stable cardiomegaly. The effusion has resolved.", {}, "Cardiomegaly."),
        ("There is a new small effusion. No significant interval change.", {}, "There is a small effusion."),
        ("No new effusion.", {}, "No effusion."),
        # With one, only what the changes say.
        ("The effusion is unchanged.", {"effusion": UNCHANGED}, "The effusion is unchanged."),
        ("The effusion is unchanged.", {"effusion": NEW}, ""),
        ("There is a new small effusion.", {"effusion": UNCHANGED}, "There is a small effusion."),
        ("Unchanged effusion and edema.", {"effusion": UNCHANGED, "edema": NEW}, "Effusion and edema."),
        ("The effusion has increased.", {"effusion": UNCHANGED}, ""),
        ("The effusion has resolved.", {"effusion": RESOLVED}, "The effusion has resolved."),
        ("The effusion has not resolved.", {"effusion": RESOLVED}, ""),
        # A comparison of nothing that a model knows cannot be checked.
        ("No significant interval change.", {"effusion": UNCHANGED}, ""),
        ("The aorta is unchanged.", {"effusion": UNCHANGED}, ""),
    ],
)
def test_comparisons_stay_only_if_the_changes_support_them(
    text: str, changes: dict[str, ChangeState], expected: str
) -> None:
    assert cleaned(text, **changes)[0] == expected


@pytest.mark.parametrize(
    ("sentence", "is_comparison"),
    [
        ("The nodule is larger.", True),
        ("The effusions are slightly smaller.", True),
        ("The edema appears more extensive.", True),
        ("The right effusion is larger than the left.", False),
        ("The effusion is larger on the right.", False),
        ("There is a larger nodule at the base.", False),
    ],
)
def test_a_size_in_comparison_with_nothing_else_compares_with_an_earlier_study(
    sentence: str, is_comparison: bool
) -> None:
    assert mentions_prior(sentence) is is_comparison
    assert remove_prior(sentence) == ("" if is_comparison else sentence)


def test_a_finding_may_have_one_of_several_changes() -> None:
    supported = {"Pleural Effusion": {UNCHANGED, WORSENED}}
    sections = parse_report("The effusion is larger. The effusion is smaller.")
    kept, changed = remove_contradicted_comparisons(sections, supported, chest_xray())
    assert (" ".join(section.text for section in kept), changed) == ("The effusion is larger.", 1)


def test_other_sentences_are_not_touched() -> None:
    text = "The heart is enlarged. No effusion.\n\nIMPRESSION: Cardiomegaly."
    sections = parse_report(text)
    assert remove_contradicted_comparisons(sections, {}, chest_xray()) == (sections, 0)


def test_sections_without_sentences_are_left_out_and_changes_are_counted() -> None:
    sections = parse_report("FINDINGS: Stable cardiomegaly. No effusion. IMPRESSION: No interval change.")
    kept, changed = remove_contradicted_comparisons(sections, {}, chest_xray())
    assert (format_report(kept), changed) == ("FINDINGS:\nCardiomegaly. No effusion.", 2)
    assert all(isinstance(section, Section) for section in kept)


@pytest.mark.parametrize(
    ("sentence", "expected"),
    [
        ("The heart is enlarged.", "The heart is enlarged."),
        ("Stable cardiomegaly.", "Cardiomegaly."),
        ("There is a persistent opacity.", "There is an opacity."),
        ("The mediastinum is stable.", ""),
        ("Stable mediastinal contours.", ""),
    ],
)
def test_a_comparison_is_removed(sentence: str, expected: str) -> None:
    assert remove_prior(sentence) == expected
    assert not mentions_prior(expected)
