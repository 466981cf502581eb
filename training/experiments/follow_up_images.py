"""The images of patients with several studies, encoded by a checkpoint, for experiments on changes of findings."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from report_gen.corpora import read_corpus
from report_gen.errors import CorpusError
from report_gen.files import write_atomically
from report_gen.metrics import Floats
from report_gen.model import Checkpoint
from report_gen.records import ViewPosition

from ..calibration import LabeledPairs
from ..data import LEFT_OUT, StudyPair, assign_splits, pair_studies
from ..recipe import load_recipe
from .soft_labels import encode_views

_FILE = "logits.npz"


@dataclass(frozen=True, eq=False)
class FollowUpImages:
    """The S images of patients with several studies, each a study of its own."""

    labels: Floats
    """[S,F], NaN if unknown."""
    probabilities: Floats
    """[S,F] calibrated."""
    abnormal: list[int]
    """Indices of the findings, without the one that means "normal"."""
    by_split: Mapping[str, list[StudyPair]]
    """Pairs of images of the patients of each split."""

    @property
    def labeled(self) -> NDArray[np.bool_]:
        """[F], whether the corpora have labels of a finding that show an abnormality."""
        positive: NDArray[np.bool_] = np.nansum(self.labels[:, self.abnormal], axis=0) > 0
        found = np.zeros(self.labels.shape[1], dtype=bool)
        found[self.abnormal] = positive
        return found

    def pairs(self, split: str) -> LabeledPairs:
        """Return probabilities and labels of the pairs of a split."""
        prior, present = self._indices(split)
        return LabeledPairs(
            self.probabilities[prior], self.probabilities[present], self.labels[prior], self.labels[present]
        )

    def patients(self, split: str) -> NDArray[np.str_]:
        """Return the patient [P] of each pair of a split."""
        return np.array([pair.patient for pair in self.by_split[split]])

    def _indices(self, split: str) -> tuple[list[int], list[int]]:
        pairs = self.by_split[split]
        return [pair.prior for pair in pairs], [pair.present for pair in pairs]


def load_follow_ups(
    recipe_name: str, data: Path, checkpoint: Checkpoint, *, cache: Path, device: torch.device
) -> FollowUpImages:
    """Read the image corpora of a recipe, and encode the images of patients with several studies.

    A study that several corpora contain is used once, from the first of them. A patient belongs to the split of the
    recipe. The left-out studies of a validation or test patient are used as well, because no model was trained on them.

    Args:
        recipe_name: Recipe with the corpora.
        data: Their folder.
        checkpoint: Encodes the images.
        cache: Folder of decoded images and finding logits.
        device: Where the model runs.

    Raises:
        CorpusError: A corpus cannot be read, or a split has no pair.
    """
    rows = _read_rows(recipe_name, data)
    order = pair_studies(rows)
    used = sorted({index for pair in order for index in (pair.prior, pair.present)})
    rows, position = [rows[index] for index in used], {index: number for number, index in enumerate(used)}
    pairs = [StudyPair(one.patient, position[one.prior], position[one.present]) for one in order]
    by_split = {name: [one for one in pairs if rows[one.present]["split"] == name] for name in ("train", "val", "test")}
    if not all(by_split.values()):
        raise CorpusError(f"{data}: a split has no patient with several studies; add a corpus")
    logits = _encode(rows, checkpoint, cache, device)
    schema = checkpoint.model.config.finding_schema
    return FollowUpImages(
        labels=np.array([row["labels"] for row in rows], dtype=np.float64),
        probabilities=checkpoint.model.probabilities(logits.double()).numpy(),
        abnormal=list(map(schema.index, schema.stated)),
        by_split=by_split,
    )


def _read_rows(recipe_name: str, data: Path) -> list[dict[str, Any]]:
    """Return the studies of the image corpora of a recipe, each once, with the split of their patient."""
    recipe = load_recipe(recipe_name, [f"data={data}"])
    corpora = [corpus for corpus in recipe.corpora if corpus.use_images]
    datasets = {corpus.name: read_corpus(recipe.resolve(corpus.path), layout=corpus.layout) for corpus in corpora}
    splits = assign_splits(corpora, datasets)
    rows: dict[str, dict[str, Any]] = {}
    of_patient: dict[str, str] = {}
    for name, dataset in datasets.items():
        for row, split in zip(dataset, splits[name], strict=True):
            rows.setdefault(row["study_id"], dict(row))
            if split != LEFT_OUT:
                of_patient[row["patient_id"]] = str(split)
    # A patient of whom the recipe uses no study is a validation patient: no model was trained on this patient.
    return [row | {"split": of_patient.get(row["patient_id"], "val")} for row in rows.values()]


def _encode(rows: list[dict[str, Any]], checkpoint: Checkpoint, cache: Path, device: torch.device) -> torch.Tensor:
    """Return finding logits [S,F], from the cache if it has those of the same weights."""
    names, file = [row["study_id"] for row in rows], cache / _FILE
    if file.is_file():
        stored = np.load(file)
        place = {name: index for index, name in enumerate(stored["names"].tolist())}
        if str(stored["weights"]) == checkpoint.weights_sha256 and all(name in place for name in names):
            return torch.from_numpy(stored["logits"][[place[name] for name in names]])
    views = [(row["images"][0], ViewPosition(row["view_positions"][0])) for row in rows]
    encoded = encode_views(checkpoint, views, cache / "images", device)
    logits = torch.cat([visual.finding_logits.cpu() for visual in encoded])
    content = io.BytesIO()
    np.savez(content, names=np.array(names), logits=logits.numpy(), weights=np.array(checkpoint.weights_sha256))
    write_atomically(file, content.getvalue())
    return logits
