"""Verdicts: statements on faults of the drafts, derived from their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from report_gen.metrics.diversity import DiversityStats, is_collapsed
from report_gen.metrics.finding_scores import average_name
from report_gen.metrics.significance import Difference
from report_gen.records import FindingSchema

_HEADLINE_WORDING = ("BLEU-1", "BLEU-4", "METEOR 1.5", "ROUGE-L (coco)", "CIDEr-D")
_CASING_GAP = 0.5
"""Difference of the shares of texts with capitals from which the two sides are cased differently."""


def headline_scores(schema: FindingSchema) -> tuple[str, ...]:
    """Return the names of the scores by which a model is compared with the constant report or with another model."""
    sizes = list(schema.scored_sets)[:1]  # all scored findings, if there are any
    averages = (average_name(average, "F1", size, "uncertain+") for size in sizes for average in ("micro", "macro"))
    return (*_HEADLINE_WORDING, *averages)


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """One statement on a fault of the drafts."""

    text: str
    fails: bool
    """Whether a strict run fails because of it."""


def check_collapse(drafts: DiversityStats, references: DiversityStats) -> list[Verdict]:
    """Return a failing verdict if the drafts have collapsed to a few texts."""
    if not is_collapsed(drafts, references):
        return []
    text = (
        f"collapsed: {drafts.distinct} different texts for {drafts.reports} studies "
        f"(the references have {references.distinct}), the most frequent for {drafts.most_frequent_share:.0%}"
    )
    return [Verdict(text=text, fails=True)]


def check_constant_baseline(differences: Sequence[Difference]) -> list[Verdict]:
    """Return verdicts on the scores on which a model does not beat the constant report.

    Args:
        differences: The model's scores minus those of the constant report.
    """
    beaten = [difference for difference in differences if difference.second <= difference.first]
    in_noise = [difference for difference in differences if difference not in beaten and difference.interval[0] <= 0]
    verdicts = []
    if beaten:
        verdicts.append(Verdict(text=f"does not beat the constant report on {_list(beaten)}", fails=True))
    if in_noise:
        text = f"no better than the constant report within noise on {_list(in_noise)}"
        verdicts.append(Verdict(text=text, fails=False))
    return verdicts


def check_image_use(
    image_use: Mapping[str, Sequence[Difference]], headline: Sequence[str], *, against: str
) -> list[Verdict]:
    """Return a failing verdict for each control that costs no score: the model does not use the image.

    A score shows use of the image if the lower end of the interval of its difference is above 0.

    Args:
        image_use: Scores with the studies' own images minus those with control images, by the control's name.
        headline: Names of the scores that count.
        against: What the drafts are compared with, for the text.
    """
    verdicts = []
    for control, differences in image_use.items():
        if not any(one.interval[0] > 0 for one in differences if one.name in headline):
            text = f"does not use the image: with {control} images no score against the {against} is lower beyond noise"
            verdicts.append(Verdict(text=text, fails=True))
    return verdicts


def degenerate_notice(references: Sequence[str]) -> list[str]:
    """Return a notice if there is one report only, or only equal ones: then CIDEr-D is 0 whatever the drafts are."""
    if len(references) == 1:
        return [
            "only one report is scored: its CIDEr-D is 0 by definition, because every n-gram is in all references, and "
            "its intervals have no width"
        ]
    if len(set(references)) == 1:
        return ["all references are equal: CIDEr-D is 0 by definition, because every n-gram is in all of them"]
    return []


def casing_notice(predictions: Sequence[str], references: Sequence[str]) -> list[str]:
    """Return a notice if, in the compared form, one side has capitals and the other has none.

    Empty texts do not count, because they have no letters.
    """
    predicted, referenced = _capital_share(predictions), _capital_share(references)
    if predicted is None or referenced is None or abs(predicted - referenced) < _CASING_GAP:
        return []
    return [
        f"predictions and references are cased differently ({predicted:.0%} and {referenced:.0%} of the texts have "
        "capitals), so the scores are too low; use a preset that lower-cases, such as r2gen-iu"
    ]


def _list(differences: Sequence[Difference]) -> str:
    return ", ".join(f"{one.name} ({one.second:.3f} against {one.first:.3f})" for one in differences)


def _capital_share(texts: Sequence[str]) -> float | None:
    """Return the share of texts with capitals among those that are not empty; None if all are empty."""
    written = [text for text in texts if text.strip()]
    return sum(text != text.lower() for text in written) / len(written) if written else None
