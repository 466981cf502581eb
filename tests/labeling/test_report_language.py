"""Reports in other languages are not taken for English, and short English ones are."""

from __future__ import annotations

import pytest

from report_gen.labeling import looks_english


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("No pneumothorax.", True),
        ("Stable cardiomegaly.", True),
        ("Non-contrast CT of the head, de novo lesion.", True),
        ("Left pleural effusion. No pneumothorax. See the report of Dr. van der Berg.", True),
        ("", True),
        ("Kein Pneumothorax.", False),
        ("Pleuraerguss links. Keine Stauung. Kein Pneumothorax.", False),
        ("Pas de pneumothorax ni d'épanchement.", False),
        ("No se observa neumotórax. Sin derrame pleural.", False),
        ("Nessun pneumotorace.", False),
        ("Sem derrame. Não há pneumotórax.", False),
        ("Geen pneumothorax.", False),
        ("Ingen pneumothorax.", False),
        ("Без пневмоторакса.", False),
        ("気胸なし。", False),
        ("Kein Erguss. Kein Pneumothorax. There is no effusion.", False),
    ],
)
def test_the_language_of_a_report(text: str, expected: bool) -> None:
    assert looks_english(text) is expected
