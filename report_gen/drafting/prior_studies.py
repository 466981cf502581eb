"""Earlier studies of the patient: which ones a draft may be compared with. Loads no torch.

Two faults end the draft of the study alone, because a comparison would be wrong: the prior study shows another patient,
or it is not earlier. A prior study of another kind, such as a CT of a chest radiograph, is not compared, with a notice.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from report_gen.errors import StudyError, UsageError
from report_gen.imaging import differing_attributes, header_body_parts, is_dicom_file
from report_gen.labeling import value_of_term
from report_gen.records import Report, Study

if TYPE_CHECKING:  # loads torch
    from report_gen.drafting.preprocessing import LoadedStudy


@dataclass(frozen=True)
class PriorStudy:
    """An earlier study of the patient.

    Raises:
        UsageError: A value is of another type, or the number of days is negative.
    """

    study: Study
    _: KW_ONLY
    report: Report | None = field(default=None, repr=False)
    """The report of the prior study, from `read_report`."""
    days_earlier: int | None = None
    """Calendar days from the prior study to the study; None takes them from the headers. Negated, this is the offset in
    days of each image of the prior study, for a model that reads prior images as further views."""

    def __post_init__(self) -> None:
        study: object = self.study
        if not isinstance(study, Study):
            raise UsageError(f"a study is expected instead of {type(study).__name__}; read it with read_study")
        report: object = self.report
        if report is not None and not isinstance(report, Report):
            raise UsageError(f"the report of a prior study is of type {type(report).__name__}; use read_report")
        days: object = self.days_earlier
        if days is not None and not (isinstance(days, int) and not isinstance(days, bool) and days >= 0):
            raise UsageError(f"days_earlier is {days!r}; give a whole number of at least 0")

    def days_before(self, study: Study) -> int | None:
        """Return the calendar days from the prior study to a study; None if a header does not state its date."""
        one, other = self.study.study_time, study.study_time
        if self.days_earlier is not None or one is None or other is None:
            return self.days_earlier
        return one.days_before(other)


@dataclass(frozen=True)
class CheckedPrior:
    """A prior study that may belong to a study."""

    prior: PriorStudy
    days_earlier: int | None
    """Calendar days; None if they are not known."""
    is_comparable: bool
    """Whether modality and body part are those of the study, as far as the headers state them."""
    notices: tuple[str, ...] = ()
    """What the reader of the draft must know about the prior study."""


@dataclass(frozen=True)
class PriorInput:
    """The prior study with which a study is compared."""

    checked: CheckedPrior
    loaded: LoadedStudy


def check_prior(study: Study, prior: PriorStudy) -> CheckedPrior:
    """Check that a prior study may be one of the same patient, is another study, and is earlier.

    Raises:
        StudyError: The prior study shows another patient, is the same study, or is later.
    """
    earlier, notices = prior.study, list[str]()
    if _is_same(study, earlier):
        raise _refusal(study, prior, "it is the same study; give an earlier one")
    differing = _differing_patient(study, earlier)
    same_id = _patient_key(study) is not None and _patient_key(study) == _patient_key(earlier)
    if differing == ["name"] and same_id:  # names change
        notices.append("the name of the patient differs in the prior study, but the Patient ID is the same")
    elif differing:
        raise _refusal(study, prior, f"it shows another patient ({' and '.join(differing)} differ); give another study")
    elif not same_id:
        notices.append("no common Patient ID: that the prior study is of the same patient was not checked")
    days, order = prior.days_before(study), _precedes(earlier, study)
    if order is False or (days is not None and days < 0):
        raise _refusal(study, prior, "it is later, or of the same time; give an earlier one")
    if order is None and not days:
        notices.append("the headers do not state whether the prior study is earlier")
    reason = _other_kind(study, earlier)
    if reason:
        notices.append(f"the prior study is not compared: {reason}")
    return CheckedPrior(prior, days, is_comparable=not reason, notices=tuple(notices))


def latest_prior(study: Study, priors: Sequence[PriorStudy]) -> PriorStudy | None:
    """Return the latest of several prior studies; one without a date only if all are."""
    days = [(prior.days_before(study), prior) for prior in priors]
    dated = [(number, prior) for number, prior in days if number is not None]
    return min(dated, key=lambda pair: pair[0])[1] if dated else next(iter(priors), None)


def find_priors(studies: Iterable[Study]) -> list[PriorStudy | None]:
    """Return for each study the latest earlier one of the same patient, modality and body part; None if there is none.

    Only DICOM studies with Patient ID and date are found, because anything else would be a guess. A study whose header
    contradicts another one in name, birth date or sex is none of the same patient.
    """
    studies = list(studies)
    by_patient: Mapping[str, list[Study]] = defaultdict(list)
    for study in studies:
        if (key := _patient_key(study)) is not None and study.study_time is not None:
            by_patient[key].append(study)
    return [_find_prior(study, by_patient.get(_patient_key(study) or "", ())) for study in studies]


def _find_prior(study: Study, candidates: Sequence[Study]) -> PriorStudy | None:
    earlier = [
        one for one in candidates if _precedes(one, study) and not _is_same(study, one) and not _other_kind(study, one)
    ]
    for candidate in sorted(earlier, key=_sort_key, reverse=True):
        if not _differing_patient(study, candidate):
            return PriorStudy(candidate)
    return None


def _sort_key(study: Study) -> tuple[object, ...]:
    when = study.study_time
    return () if when is None else (when.date, when.time is not None, when.time)


def _is_same(one: Study, other: Study) -> bool:
    if one.study_instance_uid is not None and one.study_instance_uid == other.study_instance_uid:
        return True
    return not {image.sha256 for image in one.images}.isdisjoint(image.sha256 for image in other.images)


def _precedes(one: Study, other: Study) -> bool | None:
    """Return whether a study is earlier than another one; None if the headers do not say."""
    if one.study_time is None or other.study_time is None:
        return None
    return one.study_time.precedes(other.study_time)


def _patient_key(study: Study) -> str | None:
    """Return the Patient ID without differences of case and spaces; None if the header does not state it."""
    return " ".join((study.patient_id or "").split()).casefold() or None


def _differing_patient(one: Study, other: Study) -> list[str]:
    """Return which attributes of the patient differ between the headers of two studies."""
    paths = [path for study in (one, other) for path in _dicom_paths(study)]
    return differing_attributes(paths)


def _dicom_paths(study: Study) -> list[Path]:
    return [image.path for image in study.images if is_dicom_file(image.path)]


def _other_kind(study: Study, prior: Study) -> str:
    """Return why a prior study is of another kind than the study, by their headers; empty if it is of the same."""
    here, there = _modalities(study), _modalities(prior)
    if here and there and here.isdisjoint(there):
        return "its modality is another one"
    here, there = _body_parts(study), _body_parts(prior)
    if here and there and here.isdisjoint(there):
        return f"its header names {', '.join(sorted(there))}, and that of the study {', '.join(sorted(here))}"
    return ""


def _modalities(study: Study) -> frozenset[str]:
    """Return the modalities of a study; CR, DX and RG are one."""
    return frozenset(value_of_term("modality", series.modality) for series in study.series if series.modality)


def _body_parts(study: Study) -> frozenset[str]:
    return frozenset().union(*(header_body_parts(series).stated for series in study.series))


def _refusal(study: Study, prior: PriorStudy, reason: str) -> StudyError:
    return StudyError(study.path, f"cannot be compared with the prior study {prior.study.path}: {reason}")
