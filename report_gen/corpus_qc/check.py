"""Check a corpus before training: counts, duplicates, patient leakage, and the problems that follow from them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from datasets import Dataset
from numpy.typing import NDArray

from report_gen.corpora import SPLITS, ColumnUse
from report_gen.corpus_qc.duplicate_clusters import Indices, find_duplicate_clusters
from report_gen.corpus_qc.example_images import ExampleImages, select_examples
from report_gen.corpus_qc.image_features import ImageState, are_similar
from report_gen.corpus_qc.problems import find_problems
from report_gen.corpus_qc.results import (
    PERCENTILES,
    CorpusCheck,
    Duplicates,
    FindingCounts,
    ImageCheck,
    SectionCheck,
    SplitCounts,
    TrainOverlap,
)
from report_gen.corpus_qc.rows import SECTIONS
from report_gen.corpus_qc.scan import CorpusScan, Progress, scan_corpus
from report_gen.corpus_qc.study_features import STATES, TEXTS
from report_gen.corpus_qc.text_statistics import SIMILARITY_THRESHOLD, band_keys, estimate_similarity
from report_gen.labeling import chest_xray
from report_gen.records import FindingSchema, FindingState

_REPORT = TEXTS.index("report")
_REPORT_SECTIONS = [SECTIONS.index(name) for name in ("findings", "impression")]
_Numbers = NDArray[Any]


def check_corpus(
    dataset: Dataset,
    *,
    source: str,
    examine_images: bool = True,
    progress: Progress = lambda _: None,
    seed: int = 0,
    schema: FindingSchema | None = None,
    columns: ColumnUse | None = None,
) -> tuple[CorpusCheck, ExampleImages]:
    """Check a corpus.

    Args:
        dataset: One or more studies with the columns of `corpora.corpus_features`, read by `read_corpus` with
            `check=False` and `require_images=None`.
        source: Name of the corpus in the results.
        examine_images: Whether to open the images.
        progress: Called with the number of studies that are done.
        seed: Seed of the sample of images.
        schema: The findings with which the dataset was read. Default: those of chest radiographs.
        columns: How the columns of the corpus are used, from `read_columns`; None if its layout has fixed columns.

    Returns:
        The results, which quote no report, and examples of reports and images.
    """
    schema = schema or chest_xray()
    scan = scan_corpus(dataset, examine_images=examine_images, progress=progress, schema=schema, seed=seed)
    texts = _cluster_reports(scan)
    images = _cluster_images(scan)
    check = replace(_summarize(scan, texts, images, source, schema), columns=columns)
    return replace(check, problems=tuple(find_problems(check))), select_examples(dataset, scan, texts, images)


def _cluster_reports(scan: CorpusScan) -> Indices:
    """Return the cluster [N] of the report of each study, -1 if it has none."""
    signatures = scan.signatures
    clusters = find_duplicate_clusters(
        band_keys(signatures),
        lambda left, right: estimate_similarity(signatures[left], signatures[right]) >= SIMILARITY_THRESHOLD,
    )
    order = np.argsort(scan.texts)
    reports = scan.studies["texts"][:, _REPORT]
    by_study = np.full(len(reports), -1, dtype=np.intp)
    has_report = reports != 0
    by_study[has_report] = clusters[order[np.searchsorted(scan.texts, reports[has_report], sorter=order)]]
    return by_study


def _cluster_images(scan: CorpusScan) -> Indices:
    """Return the cluster [M] of each image, -1 if it cannot be read or is blank."""
    by_image = np.full(len(scan.images), -1, dtype=np.intp)
    sound = scan.images["state"] == ImageState.SOUND
    _, first, inverse = np.unique(scan.images["content"][sound], return_index=True, return_inverse=True)
    hashes = scan.images["perceptual_hash"][sound][first]
    clusters = find_duplicate_clusters(hashes, lambda left, right: are_similar(hashes[left], hashes[right]))
    by_image[sound] = clusters[inverse]
    return by_image


def _summarize(scan: CorpusScan, texts: Indices, images: Indices, source: str, schema: FindingSchema) -> CorpusCheck:
    studies = scan.studies
    patients, without_patient = studies["patient"], studies["patient"] == 0
    reports = studies["texts"][:, _REPORT]
    labeled = np.asarray((studies["labels"] >= 0).any(axis=1))
    sentences = max(int(studies["sentences"].sum()), 1)
    return CorpusCheck(
        source=source,
        counts=_counts_by_split(studies, labeled),
        repeated_ids=len(studies) - len(np.unique(studies["study"])),
        with_nul=int(studies["with_nul"].sum()),
        unknown_splits=tuple(sorted(set(scan.splits) - set(SPLITS))),
        without_patient=int(without_patient.sum()),
        patients_in_several_splits=_count_leaking(patients[~without_patient], studies["split"][~without_patient]),
        empty=int(((studies["images"] == 0) & (reports == 0) & ~labeled).sum()),
        sections={name: _check_section(studies, index) for index, name in enumerate(SECTIONS)},
        reports=_count_duplicates(reports[reports != 0], texts[reports != 0]),
        overlap_with_train=_compare_texts_with_train(studies, texts),
        with_marks=int(studies["with_marks"][:, _REPORT_SECTIONS].any(axis=1).sum()),
        with_prior=int((studies["prior_sentences"] > 0).sum()),
        prior_sentences=int(studies["prior_sentences"].sum()) / sentences,
        findings_in_reports=_count_states(studies["states"], schema),
        findings_in_labels=_count_labels(studies["labels"], schema) if labeled.any() else {},
        views=dict(scan.views.most_common()),
        images=_check_images(scan, images) if len(scan.images) else None,
        problems=(),
    )


def _counts_by_split(studies: _Numbers, labeled: _Numbers) -> dict[str, SplitCounts]:
    counts = {"all": _count_studies(studies, labeled)}
    for index, name in enumerate(SPLITS):
        in_split = studies["split"] == index
        counts[name] = _count_studies(studies[in_split], labeled[in_split])
    return counts


def _count_studies(studies: _Numbers, labeled: _Numbers) -> SplitCounts:
    return SplitCounts(
        studies=len(studies),
        patients=len(np.unique(studies["patient"][studies["patient"] != 0])),
        images=int(studies["images"].sum()),
        with_images=int((studies["images"] > 0).sum()),
        with_report=int((studies["texts"][:, _REPORT] != 0).sum()),
        with_labels=int(labeled.sum()),
    )


def _count_leaking(patients: _Numbers, splits: _Numbers) -> int:
    """Return the number of patients with studies in more than one split."""
    pairs = np.unique(np.stack([patients, splits.astype(np.uint64)], axis=1), axis=0)
    _, splits_by_patient = np.unique(pairs[:, 0], return_counts=True)
    return int((splits_by_patient > 1).sum())


def _check_section(studies: _Numbers, index: int) -> SectionCheck:
    words, name = studies["words"][:, index], SECTIONS[index]
    texts = studies["texts"][:, TEXTS.index(name)] if name in TEXTS else None
    return SectionCheck(
        studies=int((words > 0).sum()),
        words=_percentiles(words[words > 0]),
        distinct=None if texts is None else len(np.unique(texts[texts != 0])),
        with_marks=int(studies["with_marks"][:, index].sum()),
    )


def _percentiles(values: _Numbers) -> dict[str, float]:
    if not len(values):
        return {}
    return dict(zip(map(str, PERCENTILES), np.percentile(values, PERCENTILES).tolist(), strict=True))


def _count_duplicates(items: _Numbers, clusters: Indices) -> Duplicates:
    _, first = np.unique(items, return_index=True)
    sizes = np.bincount(clusters[first])
    return Duplicates(
        items=len(items), distinct=len(first), similar=int(sizes[sizes > 1].sum()), clusters=int((sizes > 1).sum())
    )


def _compare_texts_with_train(studies: _Numbers, clusters: Indices) -> dict[str, dict[str, TrainOverlap]]:
    overlap = {}
    for index, name in enumerate(TEXTS):
        has_text = studies["texts"][:, index] != 0
        text_clusters = clusters[has_text] if index == _REPORT else None
        overlap[name] = _compare_with_train(
            studies["texts"][has_text, index], text_clusters, studies["split"][has_text]
        )
    return overlap


def _compare_with_train(items: _Numbers, clusters: Indices | None, splits: _Numbers) -> dict[str, TrainOverlap]:
    """Return the overlap of val and of test with train; empty without train."""
    train = splits == SPLITS.index("train")
    overlap = {}
    for index, name in enumerate(SPLITS):
        other = splits == index
        if name != "train" and other.any() and train.any():
            overlap[name] = TrainOverlap(
                items=int(other.sum()),
                identical=float(np.isin(items[other], items[train]).mean()),
                similar=None if clusters is None else float(np.isin(clusters[other], clusters[train]).mean()),
            )
    return overlap


def _count_states(states: _Numbers, schema: FindingSchema) -> dict[str, FindingCounts]:
    counts = {state: (states == index).sum(axis=0).tolist() for index, state in enumerate(STATES)}
    stated = zip(*(counts[FindingState[name]] for name in ("PRESENT", "ABSENT", "UNCERTAIN")), strict=True)
    return {
        finding: FindingCounts(present=present, absent=absent, uncertain=uncertain)
        for finding, (present, absent, uncertain) in zip(schema.findings, stated, strict=True)
    }


def _count_labels(labels: _Numbers, schema: FindingSchema) -> dict[str, FindingCounts]:
    present, absent = ((labels == value).sum(axis=0).tolist() for value in (1, 0))
    return {
        finding: FindingCounts(present=positive, absent=negative)
        for finding, positive, negative in zip(schema.findings, present, absent, strict=True)
    }


def _check_images(scan: CorpusScan, clusters: Indices) -> ImageCheck:
    images, states = scan.images, scan.images["state"]
    sound, readable = states == ImageState.SOUND, images["size"][:, 0] > 0
    splits = scan.studies["split"][images["study"]]
    return ImageCheck(
        listed=len(images),
        missing=int((states == ImageState.MISSING).sum()),
        unreadable=int((states == ImageState.UNREADABLE).sum()),
        blank=int((states == ImageState.BLANK).sum()),
        rows=_percentiles(images["size"][readable, 0]),
        columns=_percentiles(images["size"][readable, 1]),
        duplicates=_count_duplicates(images["content"][sound], clusters[sound]),
        overlap_with_train=_compare_with_train(images["content"][sound], clusters[sound], splits[sound]),
        errors=scan.errors,
    )
