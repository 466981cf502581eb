"""The part of a recipe that describes a training corpus."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from report_gen.config import FrozenModel

from .names import Label

Weight = Annotated[float, Field(gt=0, le=1000)]


class CorpusSource(FrozenModel):
    """A corpus, and which of its studies are training, validation and test data."""

    name: Label
    """Name by which stages refer to the corpus."""
    path: str
    """Folder or file, relative to `data`."""
    layout: Label | None = None
    """Layout of the corpus; detected automatically if not given."""
    columns: dict[str, str | tuple[str, ...]] = Field(default_factory=dict)
    """Columns of a table by field, such as `{ image = "filename", report = "report_text", patient = "PatientID" }`, if
    they have other names than usual; `report-gen corpus check` lists how columns are read."""
    hold_out: float = Field(default=0.0, ge=0, lt=1)
    """Share of the training patients for validation, in place of the validation split of the corpus, which then counts
    as test data. 0 keeps the splits."""
    held_out_sources: tuple[str, ...] | None = None
    """Sources (values of the column `source`, or their part before the first `/`) whose studies may be validation and
    test data. Studies of other sources are training data, except those of patients who are validation or test data:
    these are left out. All sources if not given; an empty array is none."""
    patient_ids: str = ""
    """Name for the numbering of the patients. Corpora that give the same name number the same patients, and no patient
    is in two splits over all of them. By default every corpus has its own numbering."""
    use_splits: tuple[Literal["train", "val", "test"], ...] = ("train", "val", "test")
    """Splits that are used; studies of other splits are left out, such as validation data of another prevalence."""
    exclude: tuple[str, ...] = ()
    """Ids of studies to leave out completely, such as studies kept for a demonstration."""


class CorpusRecipe(CorpusSource):
    calibration_sources: tuple[str, ...] | None = None
    """Sources whose validation studies are used to calibrate probabilities and to fit thresholds, because findings are
    as frequent there as in the population; named as in `held_out_sources`. All sources if not given."""
    sampling_weight: Weight = 1.0
    """How often a study is drawn, relative to those of other corpora; for stages with `mixing = "pooled"`."""
    source_weights: dict[str, Weight] = Field(default_factory=dict)
    """How often a study of a source is drawn, relative to other sources of the corpus, such as
    `{ rm93 = 3.0, adleberg = 0.7 }`; other sources have weight 1. Sources are named as in `held_out_sources`."""
    loss_weight: Weight = 1.0
    """Weight of a training study in every loss, relative to those of other corpora."""
    soft_labels: float = Field(default=0.0, ge=0, le=1)
    """Weight of the soft labels of another model in the finding targets, if there are any. Labels that readers agreed
    on (adjudicated labels) are not mixed."""
    soft_label_file: str | None = None
    """CSV table with a column `image` and one column of probabilities per finding, relative to `data`, such as the
    predictions of a teacher. They replace the soft labels of the corpus in the training split.
    `python -m report_gen_training.experiments.soft_labels` writes such a table."""
    label_smoothing: float = Field(default=0.0, ge=0, lt=1)
    """Share of each label of a training study that is replaced by the prevalence of the finding in the training split,
    so that the mean stays. Adjudicated labels are not smoothed."""
    mean: float | None = Field(default=None, ge=0, le=1)
    """Mean intensity (0..1) of the images, if they are normalized on their own, such as small images that are
    enlarged; that of `model.encoder` if not given. It needs `std`."""
    std: float | None = Field(default=None, gt=0, le=1)
    """Standard deviation of the intensities (0..1), as for `mean`."""
    augmented_texts: int = Field(default=0, ge=0, le=10_000_000)
    """Number of additional training reports, made by combining sentences of several reports."""
    augmented_normals: float = Field(default=0.0, ge=0, le=1)
    """Share of the additional reports that state no finding; the others state one to three."""
    augmented_templates: bool = False
    """Whether the additional reports use sentences written for training as well (`data/sentence_templates`), which
    state each finding at each place: corpora hold few sentences about rare findings."""
    use_images: bool = True
    """False uses only the reports."""
    use_texts: bool = True
    """False uses only the images and labels."""
    label_texts: bool = False
    """With `use_texts = false`: whether a study without labels is labeled from its report, which is then not used. A
    finding that the report does not mention is absent, an uncertain one is unknown, as in a corpus with texts."""

    @model_validator(mode="after")
    def _check(self) -> CorpusRecipe:
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std belong together; set both, or remove the one")
        if self.label_texts and (self.use_texts or not self.use_images):
            raise ValueError(
                "label_texts has no effect unless use_texts = false and use_images = true: studies with a report are "
                "always labeled from it; remove it, or set use_texts = false"
            )
        if not self.augmented_texts and (self.augmented_normals or self.augmented_templates):
            raise ValueError(
                "augmented_normals and augmented_templates need augmented_texts above 0; set it, or remove these keys"
            )
        if self.soft_label_file is not None and not self.soft_labels:
            raise ValueError("soft_label_file has no effect with soft_labels = 0; set its weight, such as 0.5")
        return self
