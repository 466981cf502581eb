"""What the figures say in plain words, where they say that something is wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from report_gen.metrics.diversity import DiversityStats, is_collapsed
from report_gen.metrics.finding_scores import average_name
from report_gen.metrics.significance import Difference
from report_gen.records.findings import FindingSchema

_WORDING = ("BLEU-1", "BLEU-4", "METEOR 1.5", "ROUGE-L (coco)", "CIDEr-D")


def headline_scores(schema: FindingSchema) -> tuple[str, ...]:
    """Return the names of the scores on which a model is compared with the constant report, or with another model."""
    sizes = list(schema.scored_sets)[:1]  # all scored findings, where there are any
    return (
        *_WORDING,
        *(average_name(average, "F1", size, "uncertain+") for size in sizes for average in ("micro", "macro")),
    )


@dataclass(frozen=True, kw_only=True)
class Verdict:
    text: str
    fails: bool
    """Whether `--strict` stops at it."""


def check_collapse(drafts: DiversityStats, references: DiversityStats) -> list[Verdict]:
    if not is_collapsed(drafts, references):
        return []
    text = (
        f"collapsed: {drafts.distinct} different texts for {drafts.reports} studies "
        f"(the references have {references.distinct}), the commonest for {drafts.commonest:.0%}"
    )
    return [Verdict(text=text, fails=True)]


def check_constant_baseline(differences: Sequence[Difference]) -> list[Verdict]:
    """`differences` are the model's scores minus those of the constant report."""
    beaten = [difference for difference in differences if difference.second <= difference.first]
    in_noise = [difference for difference in differences if difference not in beaten and difference.interval[0] <= 0]
    verdicts = []
    if beaten:
        verdicts.append(Verdict(text=f"does not beat the constant report on {_figures(beaten)}", fails=True))
    if in_noise:
        text = f"no better than the constant report within noise on {_figures(in_noise)}"
        verdicts.append(Verdict(text=text, fails=False))
    return verdicts


def check_image_use(
    image_use: Mapping[str, Sequence[Difference]], headline: Sequence[str], *, against: str
) -> list[Verdict]:
    """`image_use` are the scores from the studies' own images minus those from others, by what these are."""
    verdicts = []
    for control, differences in image_use.items():
        if not any(one.interval[0] > 0 for one in differences if one.name in headline):
            text = f"does not use the image: with {control} ones no score against the {against} is lower beyond noise"
            verdicts.append(Verdict(text=text, fails=True))
    return verdicts


def casing_notice(predictions: Sequence[str], references: Sequence[str]) -> list[str]:
    """A warning when, in the form in which they are compared, one side has capitals and the other has none."""
    ours, theirs = _share_with_capitals(predictions), _share_with_capitals(references)
    if abs(ours - theirs) < 0.5:
        return []
    return [
        f"predictions and references are cased differently ({ours:.0%} and {theirs:.0%} of the texts have capitals): "
        "the scores are too low; use a preset that lower-cases, such as r2gen-iu"
    ]


def _figures(differences: Sequence[Difference]) -> str:
    return ", ".join(f"{one.name} ({one.second:.3f} against {one.first:.3f})" for one in differences)


def _share_with_capitals(texts: Sequence[str]) -> float:
    return sum(text != text.lower() for text in texts) / max(len(texts), 1)
