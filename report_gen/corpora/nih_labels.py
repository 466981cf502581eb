"""The 14 labels of ChestX-ray14 (Wang et al., CVPR 2017), and how a text states them."""

from __future__ import annotations

from report_gen.labeling.labeler import find_mentions, sentence_spans
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingState

LABEL_SET = "nih"
"""Name of these labels among the `mappings` of a finding schema."""

NIH_LABELS: tuple[str, ...] = tuple(chest_xray().mappings[LABEL_SET])
"""In the order of the paper. `NORMAL` is the absence of all."""

NORMAL = "No Finding"
"""What the table of ChestX-ray14 writes for an image without any of the 14 labels."""

_LETTERS = 5
"""A text may call a label by another word of its stem, such as `nodular`: so many letters must agree."""


def stated_labels(text: str) -> frozenset[str]:
    """Return the NIH labels that a text states: what is uncertain or denied is not stated.

    Where several labels stand for one finding, as Mass and Nodule do for a lung lesion, those count that the sentence
    names ("two nodules", "a mass and a nodule"), and all where the sentence has another word ("a cavitary lesion").
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
            named = {label for label in labels if any(label.lower()[:_LETTERS] in word for word in words)}
            stated |= named or set(labels if words else ())
    return frozenset(stated)
