"""What is wrong with a corpus, before it is trained on: the whole of `report-gen corpus check`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpora import SPLITS
from report_gen.corpus_qc.duplicate_clusters import Places, find_duplicate_clusters
from report_gen.corpus_qc.example_images import ExampleImages, show
from report_gen.corpus_qc.image_features import ImageState, are_similar
from report_gen.corpus_qc.problems import find_problems
from report_gen.corpus_qc.results import (
    PERCENTILES,
    Copies,
    CorpusCheck,
    Duplicates,
    ImageCheck,
    SectionCheck,
    SplitCounts,
    Support,
)
from report_gen.corpus_qc.rows import SECTIONS
from report_gen.corpus_qc.scan import Gathered, Progress, gather
from report_gen.corpus_qc.study_features import STATES, TEXTS
from report_gen.corpus_qc.text_statistics import COMMON, band_keys, share_in_common
from report_gen.labeling.schema_files import chest_xray
from report_gen.records.findings import FindingSchema, FindingState

_REPORT = TEXTS.index("report")
_Numbers = NDArray[Any]


def check_corpus(
    dataset: Dataset,
    *,
    source: str,
    examine_images: bool = True,
    progress: Progress = lambda _: None,
    seed: int = 0,
    schema: FindingSchema | None = None,
) -> tuple[CorpusCheck, ExampleImages]:
    """The check of a corpus, and what of it is worth being seen.

    Args:
        dataset: One study or more with the columns of `corpora.corpus_features`, unchecked, with all images' names.
        source: What to call the corpus.
        examine_images: Whether to open the images.
        progress: Is told how many studies have gone by.
        seed: Of the draw of pictures.
        schema: The findings, with which the dataset was read; those of chest radiographs if not given.
    """
    schema = schema or chest_xray()
    gathered = gather(dataset, examine_images=examine_images, progress=progress, schema=schema, seed=seed)
    texts = _text_families(gathered)
    images = _image_families(gathered)
    check = _count(gathered, texts, images, source, schema)
    return replace(check, problems=tuple(find_problems(check))), show(dataset, gathered, texts, images)


def _text_families(gathered: Gathered) -> Places:
    """The family [N] of the report of each study; -1 where it has none."""
    signatures = gathered.signatures
    clusters = find_duplicate_clusters(
        band_keys(signatures), lambda left, right: share_in_common(signatures[left], signatures[right]) >= COMMON
    )
    order = np.argsort(gathered.texts)
    reports = gathered.studies["texts"][:, _REPORT]
    found = np.full(len(reports), -1, dtype=np.intp)
    there = reports != 0
    found[there] = clusters[order[np.searchsorted(gathered.texts, reports[there], sorter=order)]]
    return found


def _image_families(gathered: Gathered) -> Places:
    """The family [M] of each image; -1 where it cannot be read or is blank."""
    found = np.full(len(gathered.images), -1, dtype=np.intp)
    sound = gathered.images["state"] == ImageState.SOUND
    _, first, inverse = np.unique(gathered.images["content"][sound], return_index=True, return_inverse=True)
    perceptual_hash = gathered.images["looks"][sound][first]
    found[sound] = find_duplicate_clusters(
        perceptual_hash, lambda left, right: are_similar(perceptual_hash[left], perceptual_hash[right])
    )[inverse]
    return found


def _count(gathered: Gathered, texts: Places, images: Places, source: str, schema: FindingSchema) -> CorpusCheck:
    studies = gathered.studies
    patients, without = studies["patient"], studies["patient"] == 0
    reports = studies["texts"][:, _REPORT]
    labelled = np.asarray((studies["labels"] >= 0).any(axis=1))
    sentences = max(int(studies["sentences"].sum()), 1)
    return CorpusCheck(
        source=source,
        counts=_counts(studies, labelled),
        repeated_ids=len(studies) - len(np.unique(studies["study"])),
        damaged=int(studies["damaged"].sum()),
        strange_splits=tuple(sorted(set(gathered.splits) - set(SPLITS))),
        without_patient=int(without.sum()),
        torn_patients=_torn(patients[~without], studies["split"][~without]),
        empty=int(((studies["images"] == 0) & (reports == 0) & ~labelled).sum()),
        sections={name: _section(studies, place) for place, name in enumerate(SECTIONS)},
        reports=_duplicates(reports[reports != 0], texts[reports != 0]),
        in_train=_texts_in_train(studies, texts),
        marked=int(studies["marked"][:, _REPORTED].any(axis=1).sum()),
        with_prior=int((studies["prior_sentences"] > 0).sum()),
        prior_sentences=int(studies["prior_sentences"].sum()) / sentences,
        said=_said(studies["states"], schema),
        labelled=_labelled(studies["labels"], schema) if labelled.any() else {},
        views=dict(gathered.views.most_common()),
        images=_check_images(gathered, images) if len(gathered.images) else None,
        problems=(),
    )


_REPORTED = [SECTIONS.index(name) for name in ("findings", "impression")]


def _counts(studies: _Numbers, labelled: _Numbers) -> dict[str, SplitCounts]:
    counts = {"all": _split_counts(studies, labelled)}
    for place, name in enumerate(SPLITS):
        chosen = studies["split"] == place
        counts[name] = _split_counts(studies[chosen], labelled[chosen])
    return counts


def _split_counts(studies: _Numbers, labelled: _Numbers) -> SplitCounts:
    return SplitCounts(
        studies=len(studies),
        patients=len(np.unique(studies["patient"][studies["patient"] != 0])),
        images=int(studies["images"].sum()),
        with_images=int((studies["images"] > 0).sum()),
        with_report=int((studies["texts"][:, _REPORT] != 0).sum()),
        with_labels=int(labelled.sum()),
    )


def _torn(patients: _Numbers, splits: _Numbers) -> int:
    pairs = np.unique(np.stack([patients, splits.astype(np.uint64)], axis=1), axis=0)
    return len(pairs) - len(np.unique(pairs[:, 0])) if len(pairs) else 0


def _section(studies: _Numbers, place: int) -> SectionCheck:
    words, name = studies["words"][:, place], SECTIONS[place]
    told = studies["texts"][:, TEXTS.index(name)] if name in TEXTS else None
    return SectionCheck(
        studies=int((words > 0).sum()),
        words=_percentiles(words[words > 0]),
        distinct=None if told is None else len(np.unique(told[told != 0])),
        marked=int(studies["marked"][:, place].sum()),
    )


def _percentiles(values: _Numbers) -> dict[str, float]:
    if not len(values):
        return {}
    return dict(zip(map(str, PERCENTILES), np.percentile(values, PERCENTILES).tolist(), strict=True))


def _duplicates(items: _Numbers, clusters: Places) -> Duplicates:
    _, first = np.unique(items, return_index=True)
    sizes = np.bincount(clusters[first])
    return Duplicates(
        items=len(items), distinct=len(first), alike=int(sizes[sizes > 1].sum()), clusters=int((sizes > 1).sum())
    )


def _texts_in_train(studies: _Numbers, clusters: Places) -> dict[str, dict[str, Copies]]:
    found = {}
    for place, name in enumerate(TEXTS):
        there = studies["texts"][:, place] != 0
        alike = clusters[there] if place == _REPORT else None
        found[name] = _in_train(studies["texts"][there, place], alike, studies["split"][there])
    return found


def _in_train(items: _Numbers, clusters: Places | None, splits: _Numbers) -> dict[str, Copies]:
    """By split, what of it stands in train, too; empty without train."""
    train = splits == SPLITS.index("train")
    found = {}
    for place, name in enumerate(SPLITS):
        held = splits == place
        if name != "train" and held.any() and train.any():
            found[name] = Copies(
                held=int(held.sum()),
                same=float(np.isin(items[held], items[train]).mean()),
                alike=None if clusters is None else float(np.isin(clusters[held], clusters[train]).mean()),
            )
    return found


def _said(states: _Numbers, schema: FindingSchema) -> dict[str, Support]:
    counts = {state: (states == place).sum(axis=0).tolist() for place, state in enumerate(STATES)}
    stated = zip(*(counts[FindingState[name]] for name in ("PRESENT", "ABSENT", "UNCERTAIN")), strict=True)
    return {
        finding: Support(present=present, absent=absent, uncertain=uncertain)
        for finding, (present, absent, uncertain) in zip(schema.findings, stated, strict=True)
    }


def _labelled(labels: _Numbers, schema: FindingSchema) -> dict[str, Support]:
    present, absent = ((labels == value).sum(axis=0).tolist() for value in (1, 0))
    return {
        finding: Support(present=yes, absent=no)
        for finding, yes, no in zip(schema.findings, present, absent, strict=True)
    }


def _check_images(gathered: Gathered, clusters: Places) -> ImageCheck:
    images, states = gathered.images, gathered.images["state"]
    sound, readable = states == ImageState.SOUND, images["size"][:, 0] > 0
    splits = gathered.studies["split"][images["study"]]
    return ImageCheck(
        named=len(images),
        missing=int((states == ImageState.MISSING).sum()),
        unreadable=int((states == ImageState.UNREADABLE).sum()),
        blank=int((states == ImageState.BLANK).sum()),
        rows=_percentiles(images["size"][readable, 0]),
        columns=_percentiles(images["size"][readable, 1]),
        duplicates=_duplicates(images["content"][sound], clusters[sound]),
        in_train=_in_train(images["content"][sound], clusters[sound], splits[sound]),
        faults=gathered.faults,
    )
