"""Take the prior study of a corpus row: its images as further views, and its name in the prompt."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from report_gen.config import DeclaredScope
from report_gen.corpora import offsets_of_row, own_and_prior_images
from report_gen.errors import CorpusError
from report_gen.labeling import cut_report, value_of_term
from report_gen.prompting import describe_prior
from report_gen.records import DESCRIBING_SECTIONS, ViewOffset

from ..recipe import CorpusRecipe, Recipe
from .corpus_study import CorpusStudy


def reads_priors(corpus: CorpusRecipe, recipe: Recipe) -> bool:
    """Return whether the model of a recipe gets the images of prior studies of a corpus."""
    sequence = recipe.model.sequence
    return corpus.use_images and sequence is not None and sequence.priors


def choose_images(row: Mapping[str, Any], *, with_prior: bool) -> tuple[list[int], int]:
    """Return the indices of the images of a row that the model gets, and how many of them are of the prior study.

    As in drafting, the images of the study itself come first.

    Args:
        row: A row of a corpus.
        with_prior: Whether the model gets the images of the prior study.
    """
    own, prior = own_and_prior_images(row)
    return [*own, *(prior if with_prior else ())], len(prior) if with_prior else 0


def image_offsets(row: Mapping[str, Any], indices: Sequence[int], prior_views: int) -> tuple[ViewOffset, ...]:
    """Return the offsets of the images at these indices, of which the last `prior_views` are of the prior study.

    The day of a prior study is unknown if the corpus does not state it; in drafting it is so as well.
    """
    unknown = [ViewOffset()] * (len(indices) - prior_views) + [ViewOffset(days=math.nan)] * prior_views
    stated = offsets_of_row(row)
    offsets = [stated[index] or default for index, default in zip(indices, unknown, strict=True)]
    has_days = [bool(row["offsets_days"]) and row["offsets_days"][index] is not None for index in indices]
    return tuple(
        offset if known else offset._replace(days=default.days)
        for offset, known, default in zip(offsets, has_days, unknown, strict=True)
    )


def name_prior(row: Mapping[str, Any], offsets: Sequence[ViewOffset], prior_views: int, scope: DeclaredScope) -> str:
    """Return what the prompt says about the prior study of a row in place of `{comparison}`; empty without one.

    Args:
        row: A row of a corpus.
        offsets: Offsets of the images, of which the last `prior_views` are of the prior study.
        prior_views: Number of images of the prior study.
        scope: Scope of the model, which an image has if the corpus states neither its modality nor its body part.
    """
    if not prior_views:
        return ""
    modalities = {
        value_of_term("modality", term) for term in ([row["modality"]] if row["modality"] else scope.modalities)
    }
    parts = [row["body_part"]] if row["body_part"] else scope.body_parts
    own, prior = (max(one.days for one in part) for part in (offsets[:-prior_views], offsets[-prior_views:]))
    return describe_prior(modalities, parts, None if math.isnan(own - prior) else own - prior)


def describing_text(report: str) -> str:
    """Return findings and impression of a report, as `{prior_report}` of a prompt has them in drafting as well."""
    sections = cut_report(report)
    return " ".join(filter(None, (sections.get(name.lower(), "") for name in DESCRIBING_SECTIONS)))


def check_priors(recipe: Recipe, studies: Iterable[CorpusStudy]) -> None:
    """Raise CorpusError if drafting would give the model images of prior studies, and training gives it none."""
    sequence = recipe.model.sequence
    if sequence is None or not sequence.priors:
        return
    if not any(study.prior_views for study in studies if study.split == "train"):
        raise CorpusError(
            "model.sequence.priors is set, and no training study has images of a prior study; mark them in the column "
            "is_prior of a corpus, or set priors = false"
        )
