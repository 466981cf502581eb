"""Generated drafts with everything that a format must contain or escape, and what a format keeps of them."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import get_args

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from report_gen.records import (
    ATTRIBUTES,
    UNKNOWN_LOCATION,
    Attribute,
    ChangeState,
    ConfidenceKind,
    Finding,
    FindingLocation,
    FindingState,
    InputFile,
    PriorComparison,
    Provenance,
    Report,
    Section,
    SectionName,
    Sentence,
    Side,
    Zone,
    strip_controls,
)

_IS_THOROUGH = settings.get_current_profile_name() == "thorough"

ROUND_TRIPS = settings(
    max_examples=500 if _IS_THOROUGH else 40,
    derandomize=True,  # the same reports in every run
    deadline=None,
    phases=(Phase.explicit, Phase.generate),  # to shrink a failure takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
"""Settings of the tests with `REPORTS`: 500 reports for each format with `pytest --hypothesis-profile thorough`.

A `conftest.py` must not import this module, because pytest may load it before it has chosen the profile.
"""

PDF_ROUND_TRIPS = settings(ROUND_TRIPS, max_examples=50 if _IS_THOROUGH else 2)
"""The same for PDF, which takes seconds with the fonts of East Asian scripts."""

FRAGMENTS = (
    *("^~\\&|", "\\F\\", "\\.br\\", "\\E", "a\r\nb", "\n", "\x1b[31m", "\x00", "\u202e", "\ud800", "\ufeff", "\u2028"),
    *("<script>alert(1)</script>", "]]>", "&amp;", '"', "'", "{{ x }}", "${x}", "%s", "=1+1", "MSH|", "OBX|1|"),
    *(
        "COMPARISON:",
        "FINDINGS:",
        "IMPRESSION:",
        "NOTICE: ",
        "Drafted by x, weights 012345.",
        "DRAFT",
        "1. 2. 3.",
        "Dr. A. Ł.",
    ),
    *("肺は正常です。", "Легкие чистые.", "الرئتان", "e\u0301", "\U0001fac1", "No effusion.", "word " * 300),
)


def texts() -> st.SearchStrategy[str]:
    """Return texts that have something left when control characters are removed."""
    pieces = st.lists(st.sampled_from(FRAGMENTS) | st.text(max_size=30), min_size=1, max_size=4)
    return pieces.map("".join).filter(strip_controls)


def probabilities() -> st.SearchStrategy[float | None]:
    return st.none() | st.floats(0, 1)


SENTENCES = st.builds(Sentence, texts(), probabilities())
SECTIONS = st.lists(st.sampled_from(SectionName), unique=True).flatmap(
    lambda names: st.tuples(
        *(st.builds(Section, st.just(name), st.lists(SENTENCES, max_size=4).map(tuple)) for name in names)
    )
)
LOCATIONS = st.builds(FindingLocation, st.sampled_from(Side), st.frozensets(st.sampled_from(Zone)))
FINDINGS = st.lists(
    st.builds(
        Finding,
        name=st.sampled_from(("Pneumonia", "Edema", "Cardiomegaly", "Side", "Notice", "Upper zone"))
        | texts().map(lambda text: strip_controls(text)[:60].strip()),
        state=st.sampled_from(FindingState),
        probability=probabilities(),
        present_threshold=probabilities(),
        uncertain_threshold=probabilities(),
        means_normal=st.booleans(),
        overridden=st.booleans(),
        location=LOCATIONS,
        location_overridden=st.booleans(),
        side_probability=probabilities(),
        zone_probabilities=st.none() | st.tuples(*[st.floats(0, 1)] * len(Zone)),
    ),
    max_size=4,
    unique_by=lambda finding: finding.name,
)
ATTRIBUTE_LISTS = st.lists(
    st.builds(
        Attribute,
        name=st.sampled_from(ATTRIBUTES),
        value=st.just("") | texts(),
        probability=probabilities(),
        predicted=st.just("") | texts(),
        from_header=st.booleans(),
        overridden=st.booleans(),
    ),
    max_size=3,
    unique_by=lambda attribute: attribute.name,
)
UIDS = st.integers(0, 2**128 - 1).map(lambda number: f"2.25.{number}")
DIGESTS = st.integers(0, 2**256 - 1).map(lambda number: f"{number:064x}")
SETTINGS = st.dictionaries(
    st.text("abc_", min_size=1, max_size=5),
    st.text("aé^|\n<\\", max_size=5) | st.integers(-(2**40), 2**40) | st.floats(-1e6, 1e6) | st.booleans(),
    max_size=3,
)
STEPS = st.dictionaries(st.text("abc_", min_size=1, max_size=5), st.integers(0, 9) | st.floats(0, 1), max_size=2)
INPUTS = st.lists(st.builds(InputFile, sha256=DIGESTS, sop_instance_uid=st.none() | UIDS), max_size=2).map(tuple)
COMPARISONS = st.builds(
    PriorComparison,
    study_instance_uid=st.none() | UIDS,
    inputs=INPUTS,
    days_earlier=st.none() | st.integers(0, 10_000),
    with_report=st.booleans(),
    method=st.just("probabilities"),
    changes=st.dictionaries(st.sampled_from(("Pneumonia", "Edema", "Cardiomegaly")), st.sampled_from(ChangeState)),
    findings=st.dictionaries(st.sampled_from(("Pneumonia", "Edema")), st.sampled_from(FindingState)),
)
OWN_REPORTS = st.builds(
    Report,
    sections=SECTIONS,
    findings=FINDINGS.map(tuple),
    notices=st.lists(texts(), max_size=2).map(tuple),
    attributes=ATTRIBUTE_LISTS.map(tuple),
    provenance=st.builds(
        Provenance,
        model_name=st.just("") | texts(),
        weights_sha256=DIGESTS,
        program_version=st.just("0.1.0"),
        created=st.integers(0, 4_102_444_800).map(lambda seconds: datetime.fromtimestamp(seconds, UTC).isoformat()),
        study_instance_uid=st.none() | UIDS,
        inputs=INPUTS,
        decoding=SETTINGS,
        preprocessing=st.lists(STEPS.map(lambda step: {"name": "median", **step}), max_size=2).map(tuple),
        comparison=st.none() | COMPARISONS,
    ),
)
"""Drafts of models of report-gen with any content that the records allow."""


def _of_chat_model(
    report: Report, *, digest: str, revision: str, endpoint: str, confidence: ConfidenceKind, has_confidence: bool
) -> Report:
    """Return a draft as `ChatGenerator` makes it: its findings are read from the text."""
    origin = replace(report.provenance, weights_sha256=digest, model_revision=revision, endpoint=endpoint)
    return replace(
        report,
        sections=report.sections if has_confidence else tuple(map(without_confidence, report.sections)),
        findings=tuple(
            Finding(name=one.name, state=one.state, means_normal=one.means_normal, from_text=True)
            for one in report.findings
        ),
        provenance=replace(origin, confidence=confidence, preprocessing=(), comparison=None),
        attributes=(),
    )


CHAT_REPORTS = st.builds(
    _of_chat_model,
    OWN_REPORTS,
    digest=st.just("") | DIGESTS,
    revision=st.just("") | st.just("main") | DIGESTS.map(lambda digest: digest[:40]),
    endpoint=st.sampled_from(("", "gpu.hospital.example", "192.0.2.7", "[2001:db8::7]")),
    confidence=st.sampled_from(get_args(ConfidenceKind)),
    has_confidence=st.booleans(),
)
"""Drafts of models behind a backend with any content that the records allow."""

REPORTS = OWN_REPORTS | CHAT_REPORTS
"""Drafts of any content that the records allow."""


def as_written(report: Report) -> Report:
    """Return what JSON and FHIR keep of a draft: texts without control characters, probabilities of four decimals."""
    return replace(
        report,
        sections=tuple(
            Section(
                section.name,
                tuple(Sentence(strip_controls(one.text), _rounded(one.confidence)) for one in section.sentences),
            )
            for section in report.sections
        ),
        findings=tuple(map(_finding, report.findings)),
        notices=tuple(map(strip_controls, report.notices)),
        attributes=tuple(map(_attribute, report.attributes)),
        provenance=replace(report.provenance, model_name=strip_controls(report.provenance.model_name)),
    )


def as_stated(finding: Finding, *, decimals: int, has_site: bool = True) -> Finding:
    """Return what DICOM SR keeps of a finding.

    Args:
        finding: The finding.
        decimals: Decimals of its probability. With 2, it is written for people, who read "< 0.01" and "> 0.99".
        has_site: Whether the format can state its location.
    """
    probability = None if finding.probability is None else float(f"{finding.probability:.{decimals}f}")
    if probability is not None and decimals == 2:
        probability = min(max(probability, 0.01), 0.99)
    finding = located(finding)
    return replace(
        without_thresholds(finding),
        name=strip_controls(finding.name),
        probability=probability,
        location=finding.location if has_site else UNKNOWN_LOCATION,
        side_probability=None,
        zone_probabilities=None,
    )


def without_thresholds(finding: Finding) -> Finding:
    """Return a finding as HL7 and DICOM SR keep it, beside what they lack as well."""
    return replace(finding, present_threshold=None, uncertain_threshold=None)


def without_confidence(section: Section) -> Section:
    """Return a section as HL7 keeps it."""
    return Section(section.name, tuple(Sentence(sentence.text) for sentence in section.sentences))


def located(finding: Finding) -> Finding:
    """Return what every format keeps of a finding: side and zones only if it is present or uncertain."""
    if finding.state in (FindingState.PRESENT, FindingState.UNCERTAIN) and not finding.means_normal:
        return finding
    nowhere = replace(finding, location=UNKNOWN_LOCATION, location_overridden=False)
    return replace(nowhere, side_probability=None, zone_probabilities=None)


def _finding(finding: Finding) -> Finding:
    finding = located(finding)
    zones = finding.zone_probabilities
    return replace(
        finding,
        probability=_rounded(finding.probability),
        present_threshold=_rounded(finding.present_threshold),
        uncertain_threshold=_rounded(finding.uncertain_threshold),
        side_probability=_rounded(finding.side_probability),
        zone_probabilities=None if zones is None else tuple(round(one, 4) for one in zones),
    )


def _attribute(attribute: Attribute) -> Attribute:
    return replace(
        attribute,
        value=strip_controls(attribute.value),
        predicted=strip_controls(attribute.predicted),
        probability=_rounded(attribute.probability),
    )


def _rounded(probability: float | None) -> float | None:
    return None if probability is None else round(probability, 4)
