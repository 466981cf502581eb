"""Choose the studies that a comparison shows: the best, the worst, and those on which the models differ most."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import PIL.Image

from report_gen.corpora import own_and_prior_images
from report_gen.corpus_qc.contact_sheet import encode_data_url
from report_gen.errors import StudyError
from report_gen.evaluation.comparison import ComparedModel, Comparison
from report_gen.evaluation.corpus_drafts import OWN
from report_gen.evaluation.rows import Row, has_report, study_from_row
from report_gen.evaluation.runner import findings_text, full_text
from report_gen.imaging import load_pixels

RANKED_BY = "ROUGE-L (coco)"
_EACH = 2
"""Number of studies of each kind."""
_SIDE = 220
"""Longer side of a thumbnail, pixels."""


@dataclass(frozen=True, kw_only=True)
class ShownStudy:
    """One study with its reference and the draft of every model."""

    kind: str
    """Why the study is shown."""
    study_id: str
    thumbnail: str
    """First image as a `data:` URL; empty if it cannot be read."""
    images: int
    """Number of images of the study."""
    reference: str
    """Findings section of the report; empty without one."""
    drafts: Mapping[str, str]
    """Draft by the name of the model."""
    scores: Mapping[str, float]
    """`RANKED_BY` of each draft, by the name of the model; empty without reports."""


def choose_studies(comparison: Comparison) -> list[ShownStudy]:
    """Choose the studies to show. Without reports these are the first ones."""
    scores = _scores_by_study(comparison)
    rows = {row["study_id"]: row for row in comparison.studies}
    if not scores:
        return [_show("first", row, comparison, {}) for row in list(rows.values())[: 2 * _EACH]]
    means = {name: sum(of_study.values()) / len(of_study) for name, of_study in scores.items()}
    ranges = {name: max(of_study.values()) - min(of_study.values()) for name, of_study in scores.items()}
    rankings = {
        "models differ most": sorted(ranges, key=lambda name: -ranges[name]) if len(comparison.models) > 1 else [],
        "best": sorted(means, key=lambda name: -means[name]),
        "worst": sorted(means, key=lambda name: means[name]),
    }
    shown: dict[str, ShownStudy] = {}
    for kind, ranking in rankings.items():
        for name in [name for name in ranking if name not in shown][:_EACH]:
            shown[name] = _show(kind, rows[name], comparison, scores[name])
    return list(shown.values())


def _scores_by_study(comparison: Comparison) -> dict[str, dict[str, float]]:
    """Return `RANKED_BY` by study and model."""
    scores: dict[str, dict[str, float]] = {}
    for model, run in comparison.reports.items():
        for case in run.cases:
            scores.setdefault(case.study_id, {})[model] = case.scores[RANKED_BY]
    return scores


def _show(kind: str, row: Row, comparison: Comparison, scores: Mapping[str, float]) -> ShownStudy:
    name = row["study_id"]
    own, _ = own_and_prior_images(row)
    return ShownStudy(
        kind=kind,
        study_id=name,
        thumbnail=_thumbnail(row),
        images=len(own),
        reference=row["findings"],
        drafts={model.name: _shown_text(model, row) for model in comparison.models},
        scores=scores,
    )


def _shown_text(model: ComparedModel, row: Row) -> str:
    """Return the draft of a study as it is compared with the reference: its findings, or all of it without one."""
    drafts = model.run.drafts
    report = drafts.reports[OWN][drafts.ids.index(row["study_id"])]
    return findings_text(report) if has_report(row) else full_text(report)


def _thumbnail(row: Row) -> str:
    """Return the first image of a study as a `data:` URL; an empty text if it cannot be read any more."""
    try:
        pixels = load_pixels(study_from_row(row).images[0])
    except StudyError:
        return ""
    picture = PIL.Image.fromarray((pixels * 255).round().astype("uint8"))
    picture.thumbnail((_SIDE, _SIDE))
    return encode_data_url(picture)
