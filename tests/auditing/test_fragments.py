"""Incomplete sentences are recognized."""

from __future__ import annotations

import pytest

from report_gen.auditing import is_fragment


@pytest.mark.parametrize(
    "sentence",
    [
        "Opacity in the.",
        "There is atelectasis and.",
        "An effusion with the tip.",
        "Small effusion is, unchanged.",
        "And edema.",
        "There is and edema.",
        "The silhouette is a within normal limits.",
        "The negative for effusion.",
        "The there is a nodule.",
        "Increased lung markings markings.",
        "Heart size is normal in silhouette is normal.",
        "Chest No acute findings.",
        "Heart size normal. [<Clear lungs.",
        "There are emphysematous changes, particularly.",
        "There is streaky opacities.",
        "The right lower lobe pneumonia.",
        "Small effusions, left greater than right with small effusions, left greater than right.",
    ],
)
def test_fragments(sentence: str) -> None:
    assert is_fragment(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "Opacity in the left base.",
        "There is an effusion, and the heart is enlarged.",
        "The heart is enlarged and there is edema.",
        "Atelectasis is present which is mild.",
        "No effusion is seen.",
        "The lungs are clear. The heart is normal.",
        "Right and left effusions.",
        "There is prominence of the interstitial markings.",
        "There is effusion with basilar opacities.",
        "The right lung is clear.",
        "Scarring of the left lower lobe and an opacity of the left lower lobe.",
    ],
)
def test_sentences(sentence: str) -> None:
    assert not is_fragment(sentence)
