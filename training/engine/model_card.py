"""The model card that goes into every checkpoint."""

from __future__ import annotations

from collections.abc import Mapping

from report_gen.config import CONDITIONING_TRAITS
from report_gen.metrics import CALIBRATION_BINS
from report_gen.model import ModelConfig
from report_gen.records.report import BANNER

from ..calibration.temperature import Calibration
from ..recipe.schema import Recipe


def write_card(
    recipe: Recipe,
    config: ModelConfig,
    *,
    counts: Mapping[str, Mapping[str, int]],
    left_out: Mapping[str, int],
    decoder: str,
    calibration: Calibration | None = None,
) -> str:
    """Markdown: what the recipe says of itself, what it was trained on, and which findings it knows.

    Args:
        counts: studies by corpus and split.
        left_out: studies by corpus that had an unreadable image.
        decoder: what of it was pretrained, in one sentence.
        calibration: of the finding head's probabilities, where there were labels to fit it to.
    """
    rows = "\n".join(
        f"| {name} | {splits.get('train', 0)} | {splits.get('val', 0)} | {splits.get('test', 0)} "
        f"| {left_out.get(name, 0)} |"
        for name, splits in counts.items()
    )
    schema = config.finding_schema
    trained = [
        name for name, threshold in zip(schema.findings, config.findings.present, strict=True) if threshold is not None
    ]
    unknown = [name for name in schema.stated if name not in trained]
    attributes = "; ".join(f"{one.name} ({', '.join(one.values)})" for one in config.attributes)
    told = f"as unknown: {', '.join(unknown) or 'none'}"
    if not CONDITIONING_TRAITS[config.conditioning].uses_findings:
        told = "of these: nothing. It reads features of the images as numbers alone"
    derived = f' "{schema.normal}" follows from the others.' if schema.normal else ""
    return f"""---
library_name: report-gen
pipeline_tag: image-to-text
tags: [radiology, research-use]
---

# {recipe.name}

**{BANNER}.** Research use only; not a medical device.

{recipe.card.strip()}

## Trained on

{decoder}

| corpus | train | val | test | left out, unreadable |
|---|---|---|---|---|
{rows}

The recipe stands in `training.json`. Validation chose the weights and the thresholds.

## What it can tell apart

Findings with a threshold: {", ".join(trained) or "none"}.
Told to the decoder {told}.{derived}
Recognised and told besides: {attributes or "nothing"}.

{_describe(calibration)}
"""


def _describe(calibration: Calibration | None) -> str:
    if calibration is None:
        return "The probabilities of the findings are as the head gives them: no validation labels calibrated them."
    return (
        f"The probabilities of the findings are calibrated by one temperature, {calibration.temperature:.2f}, fitted "
        f"to {calibration.labels} labels of {calibration.studies} validation studies. Expected calibration error on "
        f"these ({CALIBRATION_BINS} bins of equal mass): "
        f"{calibration.ece_before:.3f} before, {calibration.ece_after:.3f} after."
    )
