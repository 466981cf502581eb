"""Write the model card that goes into every checkpoint."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from report_gen.config import CONDITIONING_TRAITS, AttributeConfig, ModelConfig, ScopeConfig
from report_gen.metrics import CALIBRATION_BINS
from report_gen.records import BANNER

from ..calibration import Calibration, RecognizerResult
from ..recipe import DecisionRecipe, Recipe


def write_card(
    recipe: Recipe,
    config: ModelConfig,
    *,
    counts: Mapping[str, Mapping[str, int]],
    left_out: Mapping[str, int],
    decoder: str,
    calibration: Calibration | None = None,
    recognized: RecognizerResult | None = None,
) -> str:
    """Return the card as Markdown: introduction of the recipe, training data, and recognized findings.

    Args:
        counts: Corpus -> split -> number of studies.
        left_out: Corpus -> number of studies with an unreadable image.
        decoder: A sentence on which weights of the decoder are pretrained.
        calibration: Calibration of the finding head, if there were labels for it.
        recognized: Decisions of the image recognizer on its validation images, if the model has one.
    """
    return "\n\n".join(
        (
            "---\nlibrary_name: report-gen\npipeline_tag: image-to-text\ntags: [radiology, research-use]\n---",
            f"# {recipe.name}",
            f"**{BANNER}.** Research use only; not a medical device.",
            recipe.card.strip(),
            "## Training data",
            decoder,
            *_describe_adapter(config),
            _study_table(counts, left_out),
            _describe_selection(recipe),
            "## What the model recognizes",
            _describe_findings(config),
            _describe_locations(config),
            _describe_calibration(calibration),
            *_describe_decisions(config, recipe.decisions),
            "## Scope",
            f"{_describe_scope(config.scope, recognized)}\n",
        )
    )


def _describe_selection(recipe: Recipe) -> str:
    selected = "The recipe is in `training.json`. Validation studies selected the weights and the thresholds"
    given = ", ".join(sorted(recipe.decisions.attribute_thresholds))
    return f"{selected}, except those that the recipe gives: {given}." if given else f"{selected}."


def _describe_adapter(config: ModelConfig) -> Iterator[str]:
    """Yield which base the checkpoint needs, if it is an adapter."""
    if config.adapter is not None:
        yield (
            f"This checkpoint is an adapter of {config.adapter.base} (SHA-256 {config.adapter.sha256}): it contains "
            f"low-rank matrices of rank {config.adapter.rank}, and drafting needs the weights of the base as well: its "
            "installed package, or a folder, file or hub name after `--base`."
        )


def _study_table(counts: Mapping[str, Mapping[str, int]], left_out: Mapping[str, int]) -> str:
    rows = [
        (name, *(splits.get(split, 0) for split in ("train", "val", "test")), left_out.get(name, 0))
        for name, splits in counts.items()
    ]
    lines = [
        "| corpus | training studies | validation | test | left out (unreadable image) |",
        "|---|---|---|---|---|",
        *(f"| {' | '.join(map(str, row))} |" for row in rows),
    ]
    return "\n".join(lines)


def _describe_findings(config: ModelConfig) -> str:
    schema, thresholds = config.finding_schema, config.findings.present
    trained = [name for name, value in zip(schema.findings, thresholds, strict=True) if value is not None]
    unknown = [name for name in schema.stated if name not in trained]
    attributes = "; ".join(map(_describe_attribute, config.attributes))
    follows = schema.normal and config.findings.normal is None
    derived = f' "{schema.normal}" follows from the others.' if follows else ""
    conditioning = f"Unknown to the decoder: {', '.join(unknown) or 'none'}.{derived}"
    if not CONDITIONING_TRAITS[config.conditioning].uses_findings:
        conditioning = "The decoder is not conditioned on findings: it reads image features as numbers only."
    return "\n".join(
        (
            f"Findings with a threshold: {', '.join(trained) or 'none'}.",
            conditioning,
            f"Attributes: {attributes or 'none'}.",
        )
    )


def _describe_attribute(attribute: AttributeConfig) -> str:
    certain = f", named if its probability is at least {attribute.threshold:.2f}" if attribute.threshold else ""
    return f"{attribute.name} ({', '.join(attribute.values)}{certain})"


def _describe_locations(config: ModelConfig) -> str:
    if config.locations is None:
        return "The model does not know where a finding is."
    located = [
        name for name, known in zip(config.finding_schema.findings, config.locations.trained, strict=True) if known
    ]
    return (
        f"Findings with a side and zones: {', '.join(located) or 'none'}. A side is stated if its probability is at "
        f"least {config.locations.side_threshold:g}."
    )


def _describe_calibration(calibration: Calibration | None) -> str:
    if calibration is None:
        return "The finding probabilities are not calibrated: there were too few validation labels."
    return (
        f"The finding probabilities are calibrated with one temperature, {calibration.temperature:.2f}, and a shift "
        f"per finding, fitted to {calibration.labels} labels of {calibration.studies} validation studies. The expected "
        f"calibration error on these studies ({CALIBRATION_BINS} bins of equal mass) was {calibration.ece_before:.3f} "
        f"before and {calibration.ece_after:.3f} after calibration."
    )


def _describe_decisions(config: ModelConfig, costs: DecisionRecipe) -> Iterator[str]:
    """Yield the costs from which the thresholds follow, as far as the model has thresholds."""
    if any(value is not None for value in config.findings.present):
        yield (
            "Each finding has the threshold with the highest expected F-measure among the validation studies, in which "
            f"a false positive costs {costs.false_positive_cost:g} times as much as a missed finding."
        )
    if config.findings.normal is not None:
        yield (
            f'A study is normal if its probability of "{config.finding_schema.normal}" is at least '
            f"{config.findings.normal:.2f}: calling an abnormal study normal costs {costs.missed_abnormal_cost:g} "
            "times as much as calling a normal study abnormal. A normal study has no finding, and any other study has "
            "at least one: if none reached its threshold, the nearest one is uncertain."
        )


def _describe_scope(scope: ScopeConfig, recognized: RecognizerResult | None) -> str:
    """Describe which studies the model was made for, and how well it recognizes the others."""
    limits = [
        f"{name}: {', '.join(values)}"
        for name, values in (("modalities", scope.modalities), ("body parts", scope.body_parts), ("views", scope.views))
        if values
    ]
    if scope.min_age is not None:
        limits.append(f"patients of at least {scope.min_age:g} years")
    if scope.max_age is not None:
        limits.append(f"patients of at most {scope.max_age:g} years")
    text = "The recipe declares no scope, so that studies of every kind are drafted."
    if limits:
        text = f"The model was made for {'; '.join(limits)}. Other studies are refused."
    if recognized is None:
        return f"{text} The model has no image recognizer, so it does not refuse images by their appearance."
    counts = ", ".join(
        f"{name.replace('_', ' ')} {recognized.recognized[name]} of {count}"
        for name, count in recognized.images.items()
    )
    return f"{text} Validation images that the image recognizer classifies correctly: {counts}."
