"""Encode a study of a corpus as a training example: token ids, finding states and head targets."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from report_gen.config import STATES
from report_gen.labeling import label_findings, locate_findings
from report_gen.prompting import Prompt, PromptValues, describe_views, render
from report_gen.records import (
    LOCATION_PARTS,
    UNKNOWN_ATTRIBUTES,
    UNKNOWN_LOCATION,
    FindingSchema,
    Section,
    ViewOffset,
    ViewPosition,
    format_report,
    location_to_parts,
    parse_report,
)
from report_gen.tokenizer import ReportTokenizer

from .box_geometry import ExampleBox
from .corpus_study import CorpusStudy, text_labels
from .location_targets import location_targets, unknown_location
from .text_cleaning import without_places


@dataclass(frozen=True)
class EncodedReport:
    """A report as token ids."""

    ids: tuple[int, ...]
    """[R] token ids."""
    abnormal: tuple[bool, ...]
    """[R] whether the sentence of each token states a finding as present or uncertain."""
    text: str
    """The text that `ids` encode, as `format_report` writes it."""


@dataclass(frozen=True)
class TrainingExample:
    """A study encoded as arrays."""

    study_id: str
    patient_id: str
    images: tuple[Path, ...]
    views: tuple[ViewPosition, ...]
    prompts: tuple[tuple[int, ...], ...]
    """Token ids of the prompt wordings: first with the indication and the other texts of the order, then as many
    without them. The last wording of each half names no views."""
    report_ids: tuple[int, ...]
    abnormal: tuple[bool, ...]
    """[R] whether the sentence of each report token states a finding as present or uncertain."""
    reference: str
    """The report text that `report_ids` encode, as `format_report` writes it."""
    states: NDArray[np.int64]
    """[F] indices into STATES, labeled from the report text."""
    locations: NDArray[np.bool_]
    """[F,P] `LOCATION_PARTS` of each present or uncertain finding, as `reference` states them; all False if unknown,
    and for a model without locations."""
    labels: NDArray[np.float32]
    """[F] labels of the corpus, else of the text: 1 or 0, NaN if unknown."""
    targets: NDArray[np.float32]
    """[F] targets of the finding head, 0..1: the labels, or a mix with soft labels; NaN if unknown."""
    location_targets: NDArray[np.float32]
    """[F,P] targets of the location head: 1 or 0, NaN where the location of a finding is not known."""
    boxes: tuple[ExampleBox, ...] = ()
    """Boxes around findings in the image files."""
    source: str = ""
    """Part of the corpus that the study comes from; empty if unknown."""
    calibrates: bool = True
    """Whether the example is used for calibration and thresholds if it is validation data."""
    sampling_weight: float = 1.0
    """How often the example is drawn, relative to others."""
    loss_weight: float = 1.0
    """Weight of the example in every loss."""
    normalization: tuple[float, ...] = ()
    """Mean and standard deviation by which the images are normalized; empty for those of the model."""
    attributes: tuple[str, ...] = UNKNOWN_ATTRIBUTES
    """Values in the order of `ATTRIBUTES`; empty if unknown."""
    offsets: tuple[ViewOffset, ...] = ()
    """Offset of each image; empty if nothing is known of them."""
    prior_views: int = 0
    """How many of the images, the last ones, are of the prior study."""
    without_places: EncodedReport | None = None
    """The report without sides and zones, if it has the same sections and states; None if there are no locations."""

    @property
    def needs_places(self) -> bool:
        """Whether the report places findings and cannot do without it."""
        return self.without_places is None and bool(self.locations.any())

    def without_locations(self) -> TrainingExample:
        """Return the example with unknown locations and the report without sides and zones."""
        report = self.without_places or EncodedReport(self.report_ids, self.abnormal, self.reference)
        return replace(
            self,
            report_ids=report.ids,
            abnormal=report.abnormal,
            reference=report.text,
            locations=np.zeros_like(self.locations),
            without_places=None,
        )


def encode_study(
    study: CorpusStudy,
    tokenizer: ReportTokenizer,
    prompt: Prompt,
    max_report_tokens: int,
    schema: FindingSchema,
    *,
    locations: bool = False,
) -> TrainingExample:
    """Encode one study. A report of more than `max_report_tokens` loses whole sentences until it fits.

    Args:
        study: A cleaned study.
        tokenizer: Tokenizer of the model.
        prompt: Prompt of the model.
        max_report_tokens: Largest number of report tokens R.
        schema: The F findings of the model.
        locations: Whether locations condition the decoder.
    """
    states = _states(study.sections, schema)
    labels, targets = study.labels, study.targets
    if study.images and study.sections and np.isnan(targets).all():
        labels = targets = text_labels(study.sections, schema)
    encode = partial(_encode_report, tokenizer=tokenizer, max_report_tokens=max_report_tokens, schema=schema)
    report = encode(study.sections)
    places = _locations(report.text if locations else "", schema)
    return TrainingExample(
        study_id=study.study_id,
        patient_id=study.patient_id,
        images=study.images,
        views=study.views,
        prompts=tuple(_prompts(study, tokenizer, prompt)),
        report_ids=report.ids,
        abnormal=report.abnormal,
        reference=report.text,
        states=states,
        locations=places,
        labels=labels,
        targets=targets,
        location_targets=location_targets(study, places, schema) if locations else unknown_location(schema),
        boxes=tuple(_encode_boxes(study, schema)) if locations else (),
        source=study.source,
        calibrates=study.calibrates,
        sampling_weight=study.sampling_weight,
        loss_weight=study.loss_weight,
        normalization=study.normalization,
        attributes=study.attributes,
        offsets=study.offsets,
        prior_views=study.prior_views,
        without_places=_encode_without_places(study.sections, encode, schema) if places.any() else None,
    )


def _encode_boxes(study: CorpusStudy, schema: FindingSchema) -> Iterator[ExampleBox]:
    for box in study.boxes:
        yield ExampleBox(schema.index(box.finding), box.image, box.left, box.top, box.right, box.bottom)


def _states(sections: tuple[Section, ...], schema: FindingSchema) -> NDArray[np.int64]:
    labels = label_findings(format_report(sections), schema)
    return np.array([STATES.index(labels[name]) for name in schema.findings], dtype=np.int64)


def _locations(text: str, schema: FindingSchema) -> NDArray[np.bool_]:
    """Return the parts [F,P] of the locations that a report states."""
    stated = locate_findings(text, schema)
    parts = [location_to_parts(stated.get(name, UNKNOWN_LOCATION)) for name in schema.findings]
    return np.array(parts, dtype=np.bool_).reshape(len(schema.findings), len(LOCATION_PARTS))


def _encode_without_places(
    sections: tuple[Section, ...], encode: Callable[[tuple[Section, ...]], EncodedReport], schema: FindingSchema
) -> EncodedReport | None:
    """Encode the report without sides and zones; None if it loses a section or a finding by that."""
    plain = without_places(sections, schema)
    same_names = [section.name for section in plain] == [section.name for section in sections]
    unchanged = same_names and np.array_equal(_states(plain, schema), _states(sections, schema))
    return encode(plain) if unchanged else None


def _prompts(study: CorpusStudy, tokenizer: ReportTokenizer, prompt: Prompt) -> Iterator[tuple[int, ...]]:
    """Yield the wordings of the prompt, with the texts of the order and then without them, for each of `prompt_views`.

    The texts of the order are the indication, the study description and the admitting diagnoses.
    """
    compared = PromptValues(comparison=study.comparison, prior_report=study.prior_report)
    ordered = replace(
        compared,
        indication=study.indication,
        study_description=study.study_description,
        admitting_diagnoses=study.admitting_diagnoses,
    )
    own_views = study.views[: len(study.views) - study.prior_views]
    for values in (ordered, compared):
        for positions in prompt_views(own_views, has_images=bool(study.images)):
            yield _encode_prompt(prompt, replace(values, views=describe_views(positions)), tokenizer)


def prompt_views(views: Sequence[ViewPosition], *, has_images: bool) -> tuple[tuple[ViewPosition, ...], ...]:
    """Return the views that the prompts of a study name: its own, for a report without images also every frontal view
    alone, and last no views.

    Args:
        views: The views of the study in the corpus.
        has_images: Whether the images of the study are used.
    """
    frontal = () if has_images else tuple((view,) for view in ViewPosition if view.is_frontal)
    return (tuple(views), *frontal, ())


# Prompts without an indication repeat from study to study.
@lru_cache(maxsize=2**10)
def _encode_prompt(prompt: Prompt, values: PromptValues, tokenizer: ReportTokenizer) -> tuple[int, ...]:
    return tuple(tokenizer.encode(render(prompt, values)))


def _encode_report(
    sections: tuple[Section, ...], tokenizer: ReportTokenizer, max_report_tokens: int, schema: FindingSchema
) -> EncodedReport:
    """Encode a report sentence by sentence. No token spans a space, so this equals encoding the whole text."""
    encoded = [[tokenizer.encode(sentence.text) for sentence in section.sentences] for section in sections]
    headings = [tokenizer.encode(f"{section.name.value}:") for section in sections]
    _shorten(encoded, max_report_tokens - sum(map(len, headings)))
    ids: list[int] = []
    abnormal: list[bool] = []
    for section, heading, sentences in zip(sections, headings, encoded, strict=True):
        ids += heading
        abnormal += [False] * len(heading)
        for sentence, pieces in zip(section.sentences, sentences, strict=False):
            ids += pieces
            abnormal += [_states_a_finding(sentence.text, schema)] * len(pieces)
    kept = tuple(Section(s.name, s.sentences[: len(kept)]) for s, kept in zip(sections, encoded, strict=True))
    if len(ids) > max_report_tokens:  # one sentence per section is left and still too long: cut it
        kept = parse_report(tokenizer.decode(ids[:max_report_tokens]))
    return EncodedReport(tuple(ids[:max_report_tokens]), tuple(abnormal[:max_report_tokens]), format_report(kept))


def _shorten(encoded: list[list[list[int]]], max_tokens: int) -> None:
    """Remove sentences in place, always the last of the longest section, until the rest fits; keep one per section."""
    length = sum(len(tokens) for sentences in encoded for tokens in sentences)
    while length > max_tokens and len(longest := max(encoded, key=len)) > 1:
        length -= len(longest.pop())


# Sentences of reports repeat from study to study.
@lru_cache(maxsize=2**16)
def _states_a_finding(sentence: str, schema: FindingSchema) -> bool:
    states = label_findings(sentence, schema)
    return any(states[name].is_stated for name in schema.stated)
