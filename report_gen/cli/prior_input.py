"""The options of `report-gen draft` about earlier studies, and what they name."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from report_gen.cli.draft_input import read_input
from report_gen.errors import StudyError, UsageError
from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from report_gen.drafting import PriorStudy
    from report_gen.imaging import UnpackedArchives
    from report_gen.records import Report, Study, ViewPosition

_log = logging.getLogger(__name__)

AUTO = "auto"
"""Value of --prior that finds the prior study of each study among the others."""
_UNKNOWN = "unknown"
"""Value of --prior-days for a prior study that is earlier by an unknown number of days."""

_SHOWN = 20
"""Largest number of characters of an invalid value that a message quotes."""

Prior = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATH|auto",
        help="Earlier study of the patient. The draft is compared with the latest one. May be repeated. `auto` takes "
        "the latest earlier study of the same patient, modality and body part among the studies at the paths.",
    ),
]
PriorReport = Annotated[
    Path | None,
    typer.Option(
        metavar="FILE",
        readable=False,
        help="Report of the prior study: text, or a draft or report as JSON, FHIR, HL7 or DICOM SR. Needs --prior.",
    ),
]
PriorDays = Annotated[
    str | None,
    typer.Option(
        metavar="N|unknown",
        help="Days from the prior study to this study. Default: from the headers. A number overrides the dates of the "
        "headers, with a notice. `unknown`: it is earlier, but not by how much. Needs --prior.",
    ),
]


@dataclass(frozen=True)
class PriorOptions:
    """What the options about earlier studies name."""

    paths: tuple[Path, ...]
    """Paths of --prior."""
    is_auto: bool
    """Whether the prior study of each study is found among the others."""
    report: Path | None
    days: int | None
    is_earlier: bool
    """Whether --prior-days says that the prior study is earlier."""

    @property
    def is_used(self) -> bool:
        return self.is_auto or bool(self.paths)


def parse_prior_options(prior: Sequence[str], report: Path | None, days: str | None) -> PriorOptions:
    """Return the options about earlier studies. Raises UsageError if they contradict each other."""
    if AUTO in prior and len(prior) > 1:
        raise UsageError("--prior auto finds the prior studies itself; leave the other --prior out")
    for option, value in (("--prior-report", report), ("--prior-days", days)):
        if value is not None and (AUTO in prior or len(prior) != 1):
            raise UsageError(f"{option} is about one prior study; name the study with one --prior PATH")
    return PriorOptions(
        paths=tuple(Path(value) for value in prior if value != AUTO),
        is_auto=AUTO in prior,
        report=report,
        days=None if days is None or days == _UNKNOWN else _parse_days(days),
        is_earlier=days is not None,
    )


def _parse_days(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text):
        raise UsageError(
            f"--prior-days {text[:_SHOWN]!r}: write how many days the prior study is earlier, as a whole number from 0 "
            f"to 99999, or {_UNKNOWN}"
        )
    return int(text)


def read_priors(
    studies: Sequence[Study],
    others: Sequence[Study],
    options: PriorOptions,
    archives: UnpackedArchives,
    view: ViewPosition | None,
    *,
    as_study: bool,
) -> dict[Study, tuple[PriorStudy, ...]]:
    """Return the prior studies of each study.

    Args:
        studies: The studies to draft.
        others: Further studies among which `--prior auto` finds prior studies.
        options: The options.
        archives: The paths of the options.
        view: View of images whose files do not specify one.
        as_study: Whether the pictures of each folder are one study.

    Raises:
        UsageError: The options name prior studies, and there are several studies to draft.
        StudyError: A prior study or its report cannot be read, or the report is that of another patient.
    """
    if not options.is_used:
        return {}
    from report_gen.drafting import PriorStudy, find_priors, unordered_pairs

    if options.is_auto:
        all_studies = [*studies, *others]
        found = find_priors(all_studies)[: len(studies)]
        pairs = {study: one for study, one in zip(studies, found, strict=True) if one is not None}
        print_notice(f"studies with a prior study: {len(pairs)} of {len(studies)}")
        for study, one in pairs.items():
            _log.info("%s: compared with the prior study %s", study.path, one.study.path)
        _print_without_header([study for study in studies if study not in pairs])
        _print_unordered(list(unordered_pairs(all_studies)))
        return {study: (one,) for study, one in pairs.items()}
    if len(studies) > 1:
        raise UsageError(f"--prior names the prior study of one study, but there are {len(studies)}; use --prior auto")
    priors, refused = read_input(archives, view, as_study=as_study)
    if refused:
        raise refused[0]
    if len(priors) != 1 and (options.report is not None or options.is_earlier):
        raise UsageError(f"--prior-report and --prior-days are about one study, and --prior names {len(priors)}")
    report = None if options.report is None else _read_prior_report(options.report, priors[0])
    return {
        studies[0]: tuple(
            PriorStudy(one, report=report, days_earlier=options.days, is_earlier=options.is_earlier) for one in priors
        )
    }


def _print_without_header(studies: Sequence[Study]) -> None:
    """Print which studies have no prior study because their headers do not state the patient or the date."""
    for what, unknown in (
        ("Patient ID", [study for study in studies if not (study.patient_id or "").strip()]),
        ("Study Date", [study for study in studies if (study.patient_id or "").strip() and study.study_time is None]),
    ):
        if unknown:
            print_notice(
                f"studies without a {what} in their headers, for which --prior auto finds no prior study: "
                f"{len(unknown)}, such as {unknown[0].path}; draft each with --prior FILE and --prior-days N"
            )


def _print_unordered(pairs: Sequence[tuple[Study, Study]]) -> None:
    """Print which studies of one patient were not compared, because their headers do not state which is earlier."""
    if pairs:
        one, other = pairs[0]
        number = f"{len(pairs)} pair{'' if len(pairs) == 1 else 's'}"
        print_notice(
            "studies of one patient that were not compared, because the headers do not state which is earlier: "
            f"{number}, the first: {one.path} and {other.path}; draft the later one with --prior and --prior-days"
        )


def _read_prior_report(path: Path, prior: Study) -> Report:
    """Read the report of a prior study; raise StudyError if it is that of another patient."""
    from report_gen.reading import names_other_patient, read_report

    report = read_report(path, plain_text=True)
    if names_other_patient(path, prior.patient_id):
        raise StudyError(path, "is the report of another patient (different Patient ID); give that of the prior study")
    return report


def prior_settings(priors: Sequence[PriorStudy]) -> Mapping[str, Any]:
    """Return what distinguishes the prior studies of a study, as values that JSON can write."""
    return {
        "priors": [
            {
                "images": [[image.sha256, image.view_position.value] for image in prior.study.images],
                "days": prior.days_earlier,
                "report": None if prior.report is None else [section.text for section in prior.report.sections],
            }
            for prior in priors
        ]
    }
