"""Draft every study of a corpus three times: from its own images, from those of another study, and from gray images."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from time import perf_counter
from typing import Protocol, TypeVar

from report_gen.drafting import Drafter, DraftRequest
from report_gen.errors import CorpusError, NoDraftError, StudyError, without_traceback
from report_gen.evaluation.image_use import shuffle_studies
from report_gen.evaluation.locations import AttentionCollector, boxed_findings
from report_gen.evaluation.rows import Row, request_from_row, study_from_row
from report_gen.generation import Decoding
from report_gen.metrics import Floats
from report_gen.reading.plain_reports import empty_provenance
from report_gen.records import Report

OWN, SHUFFLED, BLANK = "own", "shuffled", "blank"
"""The images from which a draft is made."""

T = TypeVar("T")


class Track(Protocol):
    """Passes items on and shows progress over `total` of them; `what` names the items."""

    def __call__(self, items: Iterable[T], total: int, what: str, /) -> Iterable[T]: ...


@dataclass(frozen=True, kw_only=True)
class CorpusDrafts:
    """The drafts of one model for a corpus."""

    rows: tuple[Row, ...]
    """S studies of which every draft was made."""
    reports: Mapping[str, tuple[Report, ...]]
    """Drafts [S] by the images from which they are made."""
    attention: Mapping[str, AttentionCollector]
    """Attention by the images from which it is computed."""
    features: Mapping[str, Floats] | None
    """Image features [D_img] by study id, also of the training studies for the image 1-NN baseline; None without it."""
    refused: Mapping[str, StudyError]
    """Errors by the ids of the studies that were left out."""
    without_draft: Mapping[str, StudyError]
    """Errors by the ids of the studies for which the model wrote no report. Their drafts are empty: if they were left
    out, a model that refuses difficult studies would have better scores."""
    seconds: tuple[float, ...]
    """Wall time until the iterator gave each draft from own images, in the order of drafting; see `share_batches`."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the studies."""
        return tuple(row["study_id"] for row in self.rows)

    def select(self, ids: Collection[str]) -> CorpusDrafts:
        """Return the drafts of some of the studies, in the same order."""
        kept = [index for index, name in enumerate(self.ids) if name in ids]
        return replace(
            self,
            rows=tuple(self.rows[index] for index in kept),
            reports={images: tuple(drafts[index] for index in kept) for images, drafts in self.reports.items()},
        )


def draft_corpus(
    drafter: Drafter,
    rows: Sequence[Row],
    *,
    decoding: Decoding,
    seed: int,
    nearest: Sequence[Row] = (),
    track: Track = lambda items, _total, _what: items,
) -> CorpusDrafts:
    """Draft every study with its own and with control images. A study of which a draft is refused is left out.

    Args:
        drafter: The model.
        rows: Studies from `select_studies`.
        decoding: How drafts are generated.
        seed: Seed of the shuffling.
        nearest: Training studies for the image 1-NN baseline, whose image features are computed if the model has any.
        track: Shows progress.

    Raises:
        CorpusError: Fewer than two studies remain.
    """
    boxed = boxed_findings(rows, drafter.reported)
    attention = {images: AttentionCollector(boxed) for images in (OWN, SHUFFLED, BLANK)}
    draft = partial(drafter.draft_all, decoding=decoding, force=True)
    refused: dict[str, StudyError] = {}
    without_draft: dict[str, StudyError] = {}
    empty = partial(_empty_report, drafter)
    drafted = _draft_own(partial(draft, on_attention=attention[OWN]), rows, refused, without_draft, empty, track)
    reports = {OWN: [one.report for one in drafted]}
    for images in (SHUFFLED, BLANK):
        of_control = partial(draft, on_attention=attention[images])
        reports[images] = _draft_control(of_control, images, drafted, refused, empty, seed, track)
    kept = [index for index, one in enumerate(drafted) if one.row["study_id"] not in refused]
    _check_number(len(kept), refused, "could be drafted from their own and from control images")
    chosen = tuple(drafted[index].row for index in kept)
    uses_features = bool(nearest) and drafter.info.has_features
    return CorpusDrafts(
        rows=chosen,
        reports={images: tuple(drafts[index] for index in kept) for images, drafts in reports.items()},
        attention=attention,
        features=_features(drafter, [*nearest, *chosen], track) if uses_features else None,
        refused=refused,
        without_draft=without_draft,
        seconds=tuple(one.seconds for one in drafted),
    )


def share_batches(seconds: Sequence[float], size: int) -> list[float]:
    """Divide the time of each batch of `size` studies by its studies: the iterator waits for the first of them only."""
    batches = (seconds[start : start + size] for start in range(0, len(seconds), size))
    return [sum(batch) / len(batch) for batch in batches for _ in batch]


@dataclass(frozen=True)
class _DraftedStudy:
    """A corpus row, its images, the draft from them, and the wall time of the draft."""

    row: Row
    request: DraftRequest
    report: Report
    seconds: float


_DraftStudies = Callable[..., Iterator[Report | StudyError]]
"""`Drafter.draft_all` with its options."""


def _draft_own(
    draft: _DraftStudies,
    rows: Sequence[Row],
    refused: dict[str, StudyError],
    without_draft: dict[str, StudyError],
    empty: Callable[[], Report],
    track: Track,
) -> list[_DraftedStudy]:
    """Draft every study from its own images; the errors of the others are added to `refused`.

    If the model wrote no report of a study, the error is added to `without_draft`, and the draft is the empty one.

    Raises:
        CorpusError: Fewer than two studies are drafted.
    """
    readable: list[tuple[Row, DraftRequest]] = []
    drafted: list[_DraftedStudy] = []
    for row in rows:
        try:
            readable.append((row, request_from_row(row)))
        except StudyError as error:
            refused[row["study_id"]] = without_traceback(error)
    _check_number(len(readable), refused, "have images that can be read", "; correct the files")
    reports = _timed(draft([request for _, request in readable]))
    for (row, request), (report, seconds) in zip(readable, track(reports, len(readable), "own images"), strict=True):
        if isinstance(report, NoDraftError):
            without_draft[row["study_id"]] = report
            report = empty()
        if isinstance(report, StudyError):
            refused[row["study_id"]] = report
        else:
            drafted.append(_DraftedStudy(row, request, report, seconds))
    _check_number(len(drafted), refused, "could be drafted")
    return drafted


def _draft_control(
    draft: _DraftStudies,
    control: str,
    drafted: Sequence[_DraftedStudy],
    refused: dict[str, StudyError],
    empty: Callable[[], Report],
    seed: int,
    track: Track,
) -> list[Report]:
    """Draft every study with control images: those of another study and its prior study, or gray images.

    A model that refuses to report a control image, such as a gray one, has recognized it: the draft is empty. Any other
    error is added to `refused`, and the draft from the own images takes its place in the list.
    """
    shown = [one.request for one in drafted]
    if control == SHUFFLED:
        sources = [shown[source] for source in shuffle_studies(len(shown), seed)]
        shown = [
            replace(one, study=replace(one.study, series=source.study.series), priors=source.priors)
            for one, source in zip(shown, sources, strict=True)
        ]
    drafts = track(draft(shown, blank=control == BLANK), len(shown), f"{control} images")
    reports: list[Report] = []
    for one, report in zip(drafted, drafts, strict=True):
        if isinstance(report, Report):
            reports.append(report)
        elif isinstance(report, NoDraftError):
            reports.append(empty())
        else:
            refused.setdefault(one.row["study_id"], report)
            reports.append(one.report)
    return reports


def _empty_report(drafter: Drafter) -> Report:
    """Return an empty report for a model that wrote none. The state of its findings is unknown."""
    return Report(sections=(), findings=drafter.info.unknown_findings(), notices=(), provenance=empty_provenance())


def _check_number(studies: int, refused: Mapping[str, StudyError], kept: str, remedy: str = "") -> None:
    if studies < 2:
        first = next(iter(refused.values()))
        raise CorpusError(f"fewer than two studies {kept}; the first error: {first}{remedy}")


def _timed(items: Iterator[T]) -> Iterator[tuple[T, float]]:
    """Yield each item with the wall time of making it, seconds."""
    while True:
        began = perf_counter()
        try:
            item = next(items)
        except StopIteration:
            return
        yield item, perf_counter() - began


def _features(drafter: Drafter, rows: Sequence[Row], track: Track) -> dict[str, Floats]:
    """Compute image features [D_img] by study id; studies that cannot be read are left out."""
    readable = []
    for row in rows:
        with suppress(StudyError):
            readable.append((row["study_id"], study_from_row(row)))
    features = drafter.features([study for _, study in readable])
    tracked = track(features, len(readable), "the nearest training image")
    pairs = zip((name for name, _ in readable), tracked, strict=True)
    return {name: one for name, one in pairs if not isinstance(one, StudyError)}
