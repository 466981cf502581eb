"""Agreement of sampled texts."""

from __future__ import annotations

import pytest

from report_gen.backends import with_agreement
from report_gen.generation import GeneratedText
from report_gen.records import parse_report


def _text(text: str, confidence: float | None = None) -> GeneratedText:
    return GeneratedText(parse_report(text), confidence)


def test_the_text_that_agrees_most_is_chosen_with_hand_computed_confidences() -> None:
    # "the heart is large" against "the heart is big": 3 common words of 4, so P = R = F1 = 3/4; "no edema" against
    # "no effusion": 1/2. The third text has no sentence with a common word for "no edema".
    texts = [
        _text("The heart is large. No edema."),
        _text("The heart is big. No effusion."),
        _text("The heart is large."),
    ]
    index, chosen = with_agreement(texts)
    assert index == 0
    first, second = chosen.sections[0].sentences
    assert first.confidence == pytest.approx((3 / 4 + 1) / 2)
    assert second.confidence == pytest.approx((1 / 2 + 0) / 2)
    assert chosen.confidence == pytest.approx((7 / 8 + 1 / 4) / 2)
    assert chosen.text == texts[0].text


def test_a_text_without_sections_is_not_chosen_and_counts_as_no_agreement() -> None:
    index, chosen = with_agreement([_text(""), _text("No edema."), _text("")])
    assert index == 1
    assert chosen.confidence == 0.0


def test_a_single_text_stays_without_confidence() -> None:
    text = _text("No edema.")
    assert with_agreement([text]) == (0, text)
    assert with_agreement([_text("")]) == (0, _text(""))


def test_token_probabilities_stay() -> None:
    text = _text("No edema.", 0.5)
    assert with_agreement([text, _text("No edema.", 0.4)]) == (0, text)
