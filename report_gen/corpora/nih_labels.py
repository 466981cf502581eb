"""The 14 labels of ChestX-ray14 (Wang et al., CVPR 2017), and their recognition in a text."""

from __future__ import annotations

from report_gen.labeling import chest_xray, find_mentions, sentence_spans
from report_gen.records import FindingState

LABEL_SET = "nih"
"""Name of these labels among the `mappings` of a finding schema."""

NIH_LABELS: tuple[str, ...] = tuple(chest_xray().mappings[LABEL_SET])
"""Labels in the order of the paper. `NORMAL` is the absence of all."""

NORMAL = "No Finding"
"""Label of an image without any of the 14 labels in the table of ChestX-ray14."""

_STEM_LETTERS = 5
"""Letters that a word must share with a label, so that `nodular` counts as `Nodule`."""


def stated_labels(text: str) -> frozenset[str]:
    """Return the NIH labels that a text states as present. Uncertain and denied findings do not count.

    Mass and Nodule belong to one finding, the lung lesion. The label is the one that the sentence names ("two nodules",
    "a mass and a nodule"); both count if the sentence uses another word ("a cavitary lesion").
    """
    present = [mention for mention in find_mentions(text) if mention.state is FindingState.PRESENT]
    stated: set[str] = set()
    for finding, labels in chest_xray().labels_of(LABEL_SET).items():
        mentions = [mention for mention in present if mention.finding == finding]
        if len(labels) == 1:
            stated.update(labels if mentions else ())
            continue
        for start, end in sentence_spans(text):
            words = [text[one.start : one.end].lower() for one in mentions if start <= one.start < end]
            named = {label for label in labels if any(label.lower()[:_STEM_LETTERS] in word for word in words)}
            stated |= named or set(labels if words else ())
    return frozenset(stated)
