"""Compose the table of findings on the page of a draft."""

from __future__ import annotations

from typing import Any

from report_gen.outputs.draft_terms import FROM_TEXT, STATE_WORDS, finding_title
from report_gen.outputs.probability_text import probability_text, threshold_text
from report_gen.records import Finding, FindingState, Report, Side, Zone


def finding_content(report: Report) -> dict[str, Any]:
    """Return the values of the template about the findings. A column in which no row has a value is left out."""
    rows = [_finding(finding, report) for finding in _sorted_findings(report)]
    filled = {name for row in rows for name, value in row.items() if value}
    return {
        "findings": rows,
        "findings_title": "Findings read from the text" if report.findings_from_text else "Findings of the image model",
        "findings_note": _findings_note(report),
        "columns": filled | ({"location"} if "location_set" in filled else set()),
    }


def _sorted_findings(report: Report) -> list[Finding]:
    """Return the findings by state and then by probability, so that the important ones come first.

    "No finding" is left out if it is unknown: the draft then states an abnormality for which CheXpert has no name, such
    as a hernia, so that its label says neither "normal" nor "not normal" (`NoFindingRule.inconclusive`), or nothing is
    known about any finding.
    """
    states = list(STATE_WORDS)
    shown = [one for one in report.findings if not (one.means_normal and one.state is FindingState.UNKNOWN)]
    return sorted(shown, key=lambda finding: (states.index(finding.state), -(finding.probability or 0.0)))


def _finding(finding: Finding, report: Report) -> dict[str, str | bool]:
    finding = finding.with_stated_location()
    comparison = report.provenance.comparison
    before = None if comparison is None else comparison.findings.get(finding.name)
    return {
        "name": finding_title(finding),
        "state": STATE_WORDS[finding.state],
        "probability": "" if finding.probability is None else probability_text(finding.probability),
        "threshold": _threshold(finding),
        "location": _location(finding),
        "before": "" if before is None else STATE_WORDS[before],
        "state_set": finding.overridden,
        "location_set": finding.location_overridden,
    }


def _threshold(finding: Finding) -> str:
    """Return the probability from which a finding is present, and in brackets that from which it is uncertain."""
    present, uncertain = finding.present_threshold, finding.uncertain_threshold
    if present is None:
        return ""
    # Some findings have two thresholds that are the same: they are never uncertain by them.
    second = "" if uncertain is None or uncertain >= present else f" ({threshold_text(uncertain)})"
    return threshold_text(present) + second


def _findings_note(report: Report) -> str:
    """Return where states come from, in the words of the table."""
    if report.findings_from_text:
        return f"{FROM_TEXT.capitalize()}. Unknown: the text makes no statement about this finding."
    sentences = []
    if any(one.probability is not None for one in report.findings):
        sentences.append("Probability: from the image, calibrated.")
    thresholds = [one for one in report.findings if one.present_threshold is not None]
    if thresholds:
        sentences.append(
            "Threshold: a finding is present if its probability reaches this value, and uncertain if it reaches the "
            "value in brackets. Each finding has its own, so that a rare finding may be present at a low probability."
        )
    sentences += [
        f"If {one.name} reaches its threshold, the study counts as normal, and its other findings, except devices, as "
        "absent. If not, and no other finding reaches its threshold, the one nearest to it is uncertain."
        for one in thresholds
        if one.means_normal
    ]
    comparison = report.provenance.comparison
    if comparison is not None and comparison.findings:
        sentences.append("Prior study: by its report where that is certain, else from its images.")
    sentences.append("Unknown: the model makes no statement about this finding. An empty cell: nothing is known.")
    return " ".join(sentences)


def _location(finding: Finding) -> str:
    """Return side and zones of a finding with the probability of each: "left (0.75); mid (0.50), lower (0.88) zone"."""
    location = finding.location
    certain = finding.location_overridden  # the probabilities are those of the model, not of what the reader set
    side, zones = "", [zone for zone in Zone if zone in location.zones]
    if location.side is not Side.UNKNOWN:
        side = location.side.value + _in_brackets(None if certain else finding.side_probability)
    probabilities = dict(zip(Zone, finding.zone_probabilities or (), strict=False))
    names = ", ".join(zone.value + _in_brackets(None if certain else probabilities.get(zone)) for zone in zones)
    return "; ".join(part for part in (side, names and f"{names} zone{'s' if len(zones) > 1 else ''}") if part)


def _in_brackets(probability: float | None) -> str:
    return "" if probability is None else f" ({probability_text(probability)})"
