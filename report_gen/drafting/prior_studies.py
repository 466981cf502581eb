"""Earlier studies of the patient: which ones a draft may be compared with. Loads no torch.

A prior study that the user names must be comparable: of the same patient, modality and body part as far as the headers
state them, and earlier. Otherwise the study is refused, because a comparison would be wrong.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from datetime import date, time
from itertools import combinations

from report_gen.errors import StudyError, UsageError
from report_gen.imaging import differing_attributes, header_body_parts, is_dicom_file
from report_gen.labeling import looks_english, value_of_term
from report_gen.records import Report, Study
from report_gen.word_lists import join_words

_DAYS_PER_YEAR = 365.25


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
    """Calendar days from the prior study to the study; None takes them from the headers."""
    is_earlier: bool = False
    """The user knows that the prior study is earlier, where the headers do not state by how many days."""

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
    """A prior study that may be compared with a study."""

    prior: PriorStudy
    days_earlier: int | None
    """Calendar days from the prior study to the study; None if they are not known."""
    notices: tuple[str, ...] = ()
    """What the reader of the draft must know about the prior study."""


def check_prior(study: Study, prior: PriorStudy) -> CheckedPrior:
    """Check that a study may be compared with a prior study.

    Raises:
        StudyError: The prior study is the same study, shows another patient, is of another modality or body part, is
            not earlier, has no date, or is earlier than the birth of the patient; or its report belongs to another
            study.
    """
    earlier, notices = prior.study, list[str]()
    if _is_same(study, earlier):
        raise _refusal(study, prior, "it is the same study; give an earlier one")
    differing = _differing_patient(study, earlier)
    same_id = _patient_key(study) is not None and _patient_key(study) == _patient_key(earlier)
    if differing == ["name"] and same_id:  # names change
        notices.append("the name of the patient differs in the prior study, but the Patient ID is the same")
    elif differing:
        reason = f"it shows another patient (different {join_words(differing)}); give another study"
        raise _refusal(study, prior, reason)
    elif not same_id:
        notices.append("the Patient IDs do not show that the prior study is of the same patient; check it")
    if reason := _other_kind(study, earlier):
        raise _refusal(study, prior, f"{reason}; give one of the same kind")
    reported = None if prior.report is None else prior.report.provenance.study_instance_uid
    if reported and earlier.study_instance_uid and reported != earlier.study_instance_uid:
        raise _refusal(study, prior, "its report belongs to another study; give the report of the prior study")
    if prior.report is not None and prior.report.provenance.model_name:
        notices.append("the prior report is an unverified draft of report-gen")
    if prior.report is not None and not looks_english("\n".join(one.text for one in prior.report.sections)):
        notices.append("the prior report does not look like English, so it was not read")
        prior = replace(prior, report=None)
    days, stated = _days_earlier(study, prior), _stated_days(study, earlier)
    if prior.days_earlier not in (None, stated) and stated is not None:
        # No refusal: de-identification may have shifted the dates of each study by another number of days.
        notices.append(
            f"the headers state that the prior study is {_count_days(stated)} earlier; the draft uses the "
            f"{_count_days(prior.days_earlier or 0)} that the user gave"
        )
    return CheckedPrior(prior, days, tuple(notices))


def latest_prior(study: Study, priors: Sequence[PriorStudy]) -> CheckedPrior | None:
    """Return the latest of several prior studies, after a check of all; None if there is none.

    The study is refused if any prior study cannot be compared with it. If that prior study were left out, the draft
    could be compared with an older study than the user asked for, or state a finding as new that the prior study shows.

    Raises:
        StudyError: A prior study cannot be compared with the study, see `check_prior`. If there are several prior
            studies, the error counts those that cannot be compared and says how to draft without them.
    """
    checked, refused = list[CheckedPrior](), list[StudyError]()
    for prior in priors:
        try:
            checked.append(check_prior(study, prior))
        except StudyError as error:
            refused.append(error)
    if refused and len(priors) > 1:
        remedy = f"or leave it out to compare with the others; wrong prior studies: {len(refused)} of {len(priors)}"
        raise StudyError(refused[0].path, f"{refused[0].reason}, {remedy}")
    if refused:
        raise refused[0]
    checked.sort(key=lambda one: _recency(one.prior.study), reverse=True)
    return min(checked, key=lambda one: math.inf if one.days_earlier is None else one.days_earlier, default=None)


def find_priors(studies: Iterable[Study]) -> list[PriorStudy | None]:
    """Return for each study the latest earlier one of the same patient, modality and body part; None if there is none.

    Only DICOM studies with Patient ID and date are found, and none that has to be compared with a notice, because
    anything else would be a guess.
    """
    studies = list(studies)
    by_patient: Mapping[str, list[Study]] = defaultdict(list)
    for study in studies:
        if (key := _patient_key(study)) is not None and study.study_time is not None:
            by_patient[key].append(study)
    return [_find_prior(study, by_patient.get(_patient_key(study) or "", ())) for study in studies]


def unordered_pairs(studies: Iterable[Study]) -> Iterator[tuple[Study, Study]]:
    """Yield each two studies of one patient, modality and body part whose headers do not state which is earlier.

    `find_priors` compares neither with the other one.
    """
    by_patient: Mapping[str, list[Study]] = defaultdict(list)
    for study in studies:
        if (key := _patient_key(study)) is not None:
            by_patient[key].append(study)
    for of_patient in by_patient.values():
        for one, other in combinations(of_patient, 2):
            if _precedes(one, other) is None and not _is_same(one, other) and not _other_kind(one, other):
                yield one, other


def _find_prior(study: Study, candidates: Sequence[Study]) -> PriorStudy | None:
    earlier = [PriorStudy(one) for one in candidates if _precedes(one, study)]
    earlier.sort(key=lambda prior: _recency(prior.study), reverse=True)
    return next((prior for prior in earlier if _is_certain(study, prior)), None)


def _is_certain(study: Study, prior: PriorStudy) -> bool:
    """Return whether a study may be compared with a prior study without a notice."""
    try:
        return not check_prior(study, prior).notices
    except StudyError:
        return False


def _recency(study: Study) -> tuple[date, time]:
    """Return a key that is greater for later studies."""
    when = study.study_time
    return (date.min, time.min) if when is None else (when.date, when.time or time.min)


def _days_earlier(study: Study, prior: PriorStudy) -> int | None:
    """Return the days from the prior study to the study, None if unknown; raise StudyError if it is not earlier."""
    precedes = _precedes(prior.study, study)
    if precedes is False:
        raise _refusal(study, prior, f"it is {_how_much_later(study, prior.study)}; give an earlier one")
    if precedes is None and prior.days_earlier is None and not prior.is_earlier:
        reason = f"the headers do not state which is earlier ({_missing_time(study, prior.study)})"
        raise _refusal(study, prior, f"{reason}; give the days with PriorStudy(days_earlier=...)")
    days = _stated_days(study, prior.study) if prior.days_earlier is None else prior.days_earlier
    # An age of 0 may be a placeholder.
    if days is not None and study.patient_age and days > (study.patient_age + 1) * _DAYS_PER_YEAR:
        reason = (
            f"it would be {days} days earlier, before the birth of the patient, who is {study.patient_age:g} years old"
        )
        raise _refusal(study, prior, f"{reason}; check the dates, or give the days with PriorStudy(days_earlier=...)")
    return days


def _stated_days(study: Study, earlier: Study) -> int | None:
    """Return the days from an earlier study to a study by their headers; None if one does not state its date."""
    one, other = earlier.study_time, study.study_time
    return None if one is None or other is None else one.days_before(other)


def _how_much_later(study: Study, prior: Study) -> str:
    """Return how much later than the study a prior study is by its header. Dates may identify a patient."""
    if days := _stated_days(prior, study):
        return f"{_count_days(days)} later"
    return "of the same date and time" if _precedes(study, prior) is False else "of the same date, and later"


def _missing_time(study: Study, prior: Study) -> str:
    """Return what the headers of two studies do not state, so that it is not known which is earlier."""
    undated = [str(one.path) for one in (study, prior) if one.study_time is None]
    if undated:
        return f"no Study Date in {' and '.join(undated)}"
    untimed = [str(one.path) for one in (study, prior) if one.study_time is not None and one.study_time.time is None]
    return f"the same Study Date, and no Study Time in {' and '.join(untimed)}"


def _count_days(days: int) -> str:
    return f"{days} day{'' if days == 1 else 's'}"


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
    paths = dict.fromkeys(image.path for study in (one, other) for image in study.images)  # a file may have many frames
    return differing_attributes(filter(is_dicom_file, paths))


def _other_kind(study: Study, prior: Study) -> str:
    """Return why a prior study is of another kind than the study, by their headers; empty if it is of the same."""
    here, there = _modalities(study), _modalities(prior)
    if here and there and here.isdisjoint(there):
        return "its modality differs"
    parts, earlier_parts = _body_parts(study), _body_parts(prior)
    if parts and earlier_parts and parts.keys().isdisjoint(earlier_parts):
        named = (", ".join(one.values()) for one in (earlier_parts, parts))
        return f"its header names {', and that of the study '.join(named)}"
    return ""


def _modalities(study: Study) -> frozenset[str]:
    """Return the modalities of a study; CR, DX and RG are one."""
    return frozenset(value_of_term("modality", series.modality) for series in study.series if series.modality)


def _body_parts(study: Study) -> dict[str, str]:
    """Return the body parts that the headers of a study state, each with the word of the header that names it."""
    named = [header_body_parts(series) for series in study.series]
    return {part: one.describe(part) for one in named for part in sorted(one.stated)}


def _refusal(study: Study, prior: PriorStudy, reason: str) -> StudyError:
    return StudyError(study.path, f"cannot be compared with the prior study {prior.study.path}: {reason}")
