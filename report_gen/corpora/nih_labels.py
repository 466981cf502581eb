"""The 14 labels of ChestX-ray14 (Wang et al., CVPR 2017): the findings they stand for, and how a text states them."""

from __future__ import annotations

import re
from collections.abc import Mapping

from report_gen.labeling.labeler import find_mentions, sentence_spans
from report_gen.records.findings import FindingState

NIH_LABELS = (
    "Atelectasis",
    "Cardiomegaly",
    "Effusion",
    "Infiltration",
    "Mass",
    "Nodule",
    "Pneumonia",
    "Pneumothorax",
    "Consolidation",
    "Edema",
    "Emphysema",
    "Fibrosis",
    "Pleural_Thickening",
    "Hernia",
)
"""In the order of the paper. "No Finding" is the absence of all."""

COUNTERPARTS: Mapping[str, tuple[str, ...]] = {
    "No Finding": ("No Finding",),
    "Cardiomegaly": ("Cardiomegaly",),
    "Lung Opacity": ("Infiltration",),
    "Lung Lesion": ("Mass", "Nodule"),
    "Edema": ("Edema",),
    "Consolidation": ("Consolidation",),
    "Pneumonia": ("Pneumonia",),
    "Atelectasis": ("Atelectasis",),
    "Pneumothorax": ("Pneumothorax",),
    "Pleural Effusion": ("Effusion",),
    "Pleural Other": ("Pleural_Thickening",),
    **{name: (name,) for name in FURTHER},
}
"""NIH labels that stand for a finding. NIH does not know the other three of CheXpert."""

_LESION = "Lung Lesion"
_NAMES = {"Mass": re.compile("mass", re.IGNORECASE), "Nodule": re.compile("nodul", re.IGNORECASE)}


def said_labels(text: str) -> frozenset[str]:
    """The NIH labels that a text states: what is uncertain or denied is not stated.

    A lung lesion is a Mass or a Nodule as its sentence calls it ("two nodules", "a mass and a nodule"), and both where
    the sentence has another word ("a cavitary lesion").
    """
    stated = [mention for mention in find_mentions(text) if mention.state is FindingState.PRESENT]
    said = {label for one in stated if one.finding != _LESION for label in COUNTERPARTS.get(one.finding, ())}
    for start, end in sentence_spans(text):
        lesions = [text[one.start : one.end] for one in stated if one.finding == _LESION and start <= one.start < end]
        named = {label for label, name in _NAMES.items() if any(map(name.search, lesions))}
        said |= named or set(COUNTERPARTS[_LESION] if lesions else ())
    return frozenset(said - {"No Finding"})
