"""The options of `report-gen draft` about earlier studies, and what they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from report_gen.cli.draft_input import read_input
from report_gen.errors import UsageError
from report_gen.terminal import print_notice

if TYPE_CHECKING:
    from report_gen.drafting import PriorStudy
    from report_gen.records import Study, ViewPosition

AUTO = "auto"
"""Value of --prior that finds the prior study of each study among the others."""

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
        help="Report of the prior study: text, or a draft or report as JSON, FHIR, HL7 or DICOM SR. Needs --prior.",
    ),
]


def check_prior_options(prior: Sequence[str], prior_report: Path | None) -> None:
    """Raise UsageError if the options about earlier studies contradict each other."""
    if AUTO in prior and len(prior) > 1:
        raise UsageError("--prior auto finds the prior studies itself; leave the other --prior out")
    if prior_report is not None and (AUTO in prior or len(prior) != 1):
        raise UsageError("--prior-report is the report of one prior study; name the study with one --prior PATH")


def read_priors(
    studies: Sequence[Study],
    prior: Sequence[str],
    prior_report: Path | None,
    view: ViewPosition | None,
    *,
    as_study: bool,
) -> list[tuple[PriorStudy, ...]]:
    """Return the prior studies of each study.

    Args:
        studies: The studies to draft.
        prior: Values of --prior.
        prior_report: Value of --prior-report.
        view: View of images whose files do not specify one.
        as_study: Whether the pictures of each folder are one study.

    Raises:
        UsageError: The options name prior studies, and there are several studies to draft.
        StudyError: A prior study or its report cannot be read.
    """
    if not prior:
        return [()] * len(studies)
    from report_gen.drafting import PriorStudy, find_priors

    if AUTO in prior:
        found = find_priors(studies)
        print_notice(f"studies with a prior study: {sum(one is not None for one in found)} of {len(studies)}")
        return [() if one is None else (one,) for one in found]
    if len(studies) > 1:
        raise UsageError(f"--prior names the prior of one study, and there are {len(studies)}; use --prior auto")
    priors, refused = read_input(map(Path, prior), view, as_study=as_study)
    if refused:
        raise refused[0]
    if prior_report is None:
        return [tuple(map(PriorStudy, priors))] * len(studies)
    from report_gen.reading import read_report

    if len(priors) != 1:
        raise UsageError(f"--prior-report is the report of one study, and --prior names {len(priors)}")
    report = read_report(prior_report, plain_text=True)
    return [(PriorStudy(priors[0], report=report),)] * len(studies)


def prior_settings(priors: Sequence[PriorStudy]) -> Mapping[str, Any]:
    """Return what distinguishes the prior studies of a study, as values that JSON can write."""
    return {
        "priors": [
            {
                "images": [[image.sha256, image.view_position.value] for image in prior.study.images],
                "report": None if prior.report is None else [section.text for section in prior.report.sections],
            }
            for prior in priors
        ]
    }
