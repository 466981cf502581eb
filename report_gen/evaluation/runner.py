"""Does a model say what its images show? Drafts of a corpus against its labels and reports, with and without images.

Every study is drafted three times: from its own images, from another study's (`shuffled`), and from plain grey ones
(`blank`). What the scores lose by that is what the model gets from looking.

The reference is the findings section of a report, and of a draft too that section alone is held against it, as is the
custom in the field. The labels are held against all that a draft says. ChestX-ray14's own 14 labels, some of which are
merged in the findings, are held against it once more by themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from report_gen.corpora.nih_labels import NIH_LABELS, stated_labels
from report_gen.drafting.drafter import Drafter
from report_gen.errors import CorpusError, StudyError
from report_gen.evaluation.finding_head import known_labels, score_finding_head
from report_gen.evaluation.image_use import shuffle
from report_gen.evaluation.results import Evaluation
from report_gen.generation import Decoding
from report_gen.imaging.reading import read_study
from report_gen.labeling.labeler import label_findings
from report_gen.metrics.attribute_scores import StudyPrediction, Values, attribute_measures, count_values
from report_gen.metrics.finding_scores import finding_measures
from report_gen.metrics.joining import Joined, notice_empty
from report_gen.metrics.label_scores import LabelScores, score_labels
from report_gen.metrics.measure import Floats
from report_gen.metrics.preset import load_preset
from report_gen.metrics.run_score import score_texts
from report_gen.metrics.score_run import ScoreMethod, ScoreRun
from report_gen.metrics.significance import Difference, compare
from report_gen.metrics.training_reports import TrainingReports
from report_gen.records.findings import FindingSchema, FindingState
from report_gen.records.report import ATTRIBUTES, Report, SectionName
from report_gen.records.study import Study, ViewPosition

OWN, SHUFFLED, BLANK = "own", "shuffled", "blank"

Row = Mapping[str, Any]
States = Mapping[str, FindingState]
T = TypeVar("T")


class Track(Protocol):
    """Passes items on while progress over so many of them is shown."""

    def __call__(self, items: Iterable[T], total: int, what: str, /) -> Iterable[T]: ...


def select_studies(corpus: Iterable[Row], split: str) -> list[Row]:
    """The rows of `split`, or of all, that have images and something to hold a draft against.

    Raises:
        CorpusError: they are fewer than two.
    """
    rows = [row for row in corpus if split in ("all", row["split"]) and row["images"]]
    rows = [row for row in rows if has_labels(row) or has_report(row)]
    if len(rows) < 2:
        raise CorpusError(
            f"fewer than two studies of split {split!r} have images and labels or findings texts; "
            "name a corpus and a split that have them"
        )
    return rows


def training_reports(corpus: Iterable[Row], rows: Sequence[Row]) -> TrainingReports | None:
    """Findings texts of the train and val splits without the `rows` to be drafted; None where train has none."""
    drafted = {row["study_id"] for row in rows}
    texts: dict[str, dict[str, str]] = {"train": {}, "val": {}, "test": {}}
    for row in corpus:
        if has_report(row) and row["study_id"] not in drafted:
            texts[row["split"]][row["study_id"]] = row["findings"]
    return TrainingReports(train=texts["train"], val=texts["val"]) if texts["train"] else None


def neighbours(corpus: Iterable[Row], rows: Sequence[Row]) -> list[Row]:
    """Training studies with images and a findings text, without the `rows` to be drafted: the image 1-NN's memory."""
    drafted = {row["study_id"] for row in rows}
    return [
        row
        for row in corpus
        if row["split"] == "train" and row["images"] and has_report(row) and row["study_id"] not in drafted
    ]


def has_labels(row: Row) -> bool:
    return any(label is not None for label in row["labels"])


def has_report(row: Row) -> bool:
    return bool(row["findings"].strip())


def evaluate(
    drafter: Drafter,
    rows: Sequence[Row],
    *,
    decoding: Decoding,
    method: ScoreMethod,
    training: TrainingReports | None = None,
    nearest: Sequence[Row] = (),
    nih_labels: Mapping[str, frozenset[str]] | None = None,
    track: Track = lambda items, _total, _what: items,
) -> Evaluation:
    """Draft every study with and without its images, and hold the drafts against labels and findings texts.

    Args:
        rows: of `select_studies`.
        method: how texts are scored; its draws and seed serve everything.
        training: of `training_reports`, for baselines.
        nearest: of `neighbours`, for the image 1-NN baseline by the model's own image features; none without any.
        nih_labels: of `corpora.read_nih_labels`, by study; None where the corpus is another.
        track: shows progress over drafts, given their number and what is drafted.

    Raises:
        UsageError: the preset or an optional measure is unknown.
        CorpusError: fewer than two studies have images that can be read.
    """
    load_preset(method.preset)  # drafting takes long: what is wrong with the call shows now
    studies, refused = _draft(drafter, rows, decoding, track)
    if len(studies) < 2:
        raise CorpusError(f"fewer than two studies have images that can be read; the first fault: {refused[0]}")
    controls = dict(_draft_without(drafter, [study for _, study, _ in studies], decoding, method.seed, track))
    sides = {OWN: [report for _, _, report in studies], **controls}
    rows = [row for row, _, _ in studies]
    features = _features(drafter, [*nearest, *rows], track) if nearest else None
    labels = [known_labels(row, method.schema) for row in rows]
    truths: list[Values] = [{name: row[name] for name in ATTRIBUTES} for row in rows]
    return Evaluation(
        schema=method.schema,
        texts={row["study_id"]: _text(report) for row, _, report in studies},
        refused=tuple(refused),
        support={
            name: sum(label.get(name) is FindingState.PRESENT for label in labels) for name in method.schema.findings
        },
        by_labels=_against_labels(labels, sides, method),
        by_nih_labels=None if nih_labels is None else _against_nih_labels(rows, sides, nih_labels, method),
        attribute_support=count_values(truths),
        by_attributes=_against_attributes(truths, [row["findings"] for row in rows], sides, method),
        head=score_finding_head([row["study_id"] for row in rows], labels, sides[OWN], controls, method),
        run=_against_reports(rows, sides, method, training, features),
    )


def study_from_row(row: Row) -> Study:
    """The images of a corpus row as one study, with the views that the corpus gives them. Raises StudyError."""
    series = []
    for path, view in zip(row["images"], row["view_positions"], strict=True):
        (one,) = read_study(Path(path)).series
        images = tuple(replace(image, view_position=ViewPosition(view)) for image in one.images)
        series.append(replace(one, images=images))
    return Study(name=row["study_id"], series=tuple(series), indication=row["indication"] or None)


def _draft(
    drafter: Drafter, rows: Sequence[Row], decoding: Decoding, track: Track
) -> tuple[list[tuple[Row, Study, Report]], list[StudyError]]:
    """The studies that can be read with their drafts, and why the others cannot."""
    readable: list[tuple[Row, Study]] = []
    drafted: list[tuple[Row, Study, Report]] = []
    refused: list[StudyError] = []
    for row in rows:
        try:
            readable.append((row, study_from_row(row)))
        except StudyError as error:
            refused.append(error)
    drafts = drafter.draft_all([study for _, study in readable], decoding=decoding)
    for (row, study), draft in zip(readable, track(drafts, len(readable), "own images"), strict=True):
        if isinstance(draft, StudyError):
            refused.append(draft)
        else:
            drafted.append((row, study, draft))
    return drafted, refused


def _draft_without(
    drafter: Drafter, studies: Sequence[Study], decoding: Decoding, seed: int, track: Track
) -> Iterator[tuple[str, list[Report]]]:
    """By control the drafts from what are not the studies' own images. All of these have been read before."""
    shuffled = [
        replace(study, series=studies[giver].series)
        for study, giver in zip(studies, shuffle(len(studies), seed), strict=True)
    ]
    for control, shown in ((SHUFFLED, shuffled), (BLANK, studies)):
        drafts = drafter.draft_all(shown, decoding=decoding, blank=control == BLANK)
        yield control, list(map(_sound, track(drafts, len(shown), f"{control} images")))


def _features(drafter: Drafter, rows: Sequence[Row], track: Track) -> dict[str, Floats]:
    """Image features by study id; a training study that cannot be read is nobody's neighbour."""
    readable = []
    for row in rows:
        with suppress(StudyError):
            readable.append((row["study_id"], study_from_row(row)))
    found = drafter.features([study for _, study in readable])
    tracked = track(found, len(readable), "the nearest training image")
    pairs = zip((name for name, _ in readable), tracked, strict=True)
    return {name: features for name, features in pairs if not isinstance(features, StudyError)}


def _sound(draft: Report | StudyError) -> Report:
    if isinstance(draft, StudyError):
        raise draft
    return draft


def _against_labels(
    labels: Sequence[States], sides: Mapping[str, Sequence[Report]], method: ScoreMethod
) -> dict[str, tuple[Difference, ...]]:
    known = [label for label in labels if label]
    if not known:
        return {}
    measured = {
        side: finding_measures(
            [_read(report, label, method.schema) for report, label in zip(reports, labels, strict=True) if label],
            known,
            schema=method.schema,
        )
        for side, reports in sides.items()
    }
    own = measured.pop(OWN)
    return {control: compare(others, own, method.draws, method.seed) for control, others in measured.items()}


def _against_nih_labels(
    rows: Sequence[Row],
    sides: Mapping[str, Sequence[Report]],
    labels: Mapping[str, frozenset[str]],
    method: ScoreMethod,
) -> LabelScores:
    said = {side: [stated_labels(_text(report)) for report in reports] for side, reports in sides.items()}
    own = said.pop(OWN)
    truth = [labels[row["study_id"]] for row in rows]
    return score_labels(NIH_LABELS, truth, own, said, draws=method.draws, seed=method.seed)


def _against_attributes(
    truths: Sequence[Values], references: Sequence[str], sides: Mapping[str, Sequence[Report]], method: ScoreMethod
) -> dict[str, tuple[Difference, ...]]:
    measured = {
        side: attribute_measures(truths, references, [_told(report) for report in reports])
        for side, reports in sides.items()
    }
    own = measured.pop(OWN)
    if not own:
        return {}
    return {control: compare(others, own, method.draws, method.seed) for control, others in measured.items()}


def _told(draft: Report) -> StudyPrediction:
    return StudyPrediction(
        draft=_findings(draft), seen={attribute.name: attribute.seen for attribute in draft.attributes}
    )


def _against_reports(
    rows: Sequence[Row],
    sides: Mapping[str, Sequence[Report]],
    method: ScoreMethod,
    training: TrainingReports | None,
    features: Mapping[str, Floats] | None,
) -> ScoreRun | None:
    places = [place for place, row in enumerate(rows) if has_report(row)]
    if not places:
        return None
    ids, references = (tuple(rows[place][column] for place in places) for column in ("study_id", "findings"))
    texts = {side: tuple(_findings(reports[place]) for place in places) for side, reports in sides.items()}
    own = texts.pop(OWN)
    joined = Joined(ids=ids, predictions=own, references=references, notices=tuple(notice_empty(own)))
    return score_texts(joined, method, training=training, features=features, controls=texts)


def _text(draft: Report) -> str:
    return "\n".join(section.text for section in draft.sections)


def _findings(draft: Report) -> str:
    return " ".join(section.text for section in draft.sections if section.name is SectionName.FINDINGS)


def _read(draft: Report, known: States, schema: FindingSchema) -> States:
    """What a draft says of the findings that the corpus knows; of the others nothing can be held against it."""
    return {name: state for name, state in label_findings(_text(draft), schema).items() if name in known}
