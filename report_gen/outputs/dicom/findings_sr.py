"""Write the findings of a draft as a coded report for programs: Comprehensive 3D SR (TID 1500, IHE AI Results)."""

from __future__ import annotations

from highdicom.sr import (
    AlgorithmIdentification,
    Comprehensive3DSR,
    FindingSite,
    LanguageOfContentItemAndDescendants,
    Measurement,
    MeasurementReport,
    MeasurementsAndQualitativeEvaluations,
    QualitativeEvaluation,
    RelationshipTypeValues,
    SourceImageForMeasurementGroup,
    TrackingIdentifier,
)
from pydicom.sr.codedict import codes
from pydicom.uid import Comprehensive3DSRStorage

from report_gen.outputs.codes import (
    LUNG,
    PLEURA,
    PRESENCE,
    PROBABILITY,
    SIDES,
    STATES,
    ZONES,
    finding_code,
    finding_site,
)
from report_gen.outputs.dicom.attributes import (
    add_predecessor,
    equipment_arguments,
    evidence_of,
    finish,
    header_errors,
    procedure_of,
    to_concept,
)
from report_gen.outputs.dicom.content import (
    LANGUAGE,
    draft_item,
    forced_items,
    notice_items,
    observation_context,
    text_item,
)
from report_gen.outputs.dicom.identity import ObjectIdentity, identify_object
from report_gen.outputs.document import DraftDocument
from report_gen.outputs.draft_terms import FINDINGS_FROM_TEXT, FROM_TEXT, finding_title
from report_gen.outputs.source_header import derived_uid
from report_gen.outputs.sr_terms import MANUFACTURER, describe_user_settings
from report_gen.outputs.text import describe_weights
from report_gen.records import Finding, Side, Zone, strip_controls

_SERIES_NUMBER = 9602
_NO_COORDINATES = (
    "No coordinates are given: the attention of the model is not a reliable location of a finding. Side and zone are "
    "given as finding site where the model predicts them."
)
_NO_COORDINATES_OF_TEXT = "No coordinates are given."
_NO_IMAGE = "No image is referenced: the pictures of this study have no DICOM header."


def format_dicom_sr_findings(draft: DraftDocument) -> bytes:
    """Write the findings of a draft as a DICOM structured report that programs read.

    Each finding is a measurement group (TID 1501) with its state, its probability, its side and zones as finding sites,
    the algorithm, and references to the images. Findings that were read from the text say so in a parameter of the
    algorithm, and once in the last comment. The tracking identifier is the name of the finding, and all that
    names a finding without a code. Coordinates are not written: the attention of the finding head is on the finding in
    about half of the images only, and a comment says so. A study of pictures without headers has no references to
    images.

    Args:
        draft: The draft.

    Raises:
        StudyError: The source cannot be read or copied, or `revises` is no earlier version.
    """
    identity = identify_object(
        draft,
        format_name="dicom-sr-findings",
        sop_class_uid=Comprehensive3DSRStorage,
        series_number=_SERIES_NUMBER,
    )
    with header_errors(draft):
        dataset = Comprehensive3DSR(
            evidence=evidence_of(draft),
            content=_report(draft, identity),
            series_instance_uid=identity.series_instance_uid,
            series_number=identity.series_number,
            sop_instance_uid=identity.sop_instance_uid,
            instance_number=identity.version,
            **equipment_arguments(draft, identity, kind="coded findings"),
        )
        add_predecessor(dataset, identity)
        return finish(dataset, draft)


def _report(draft: DraftDocument, identity: ObjectIdentity) -> MeasurementReport:
    report = MeasurementReport(
        observation_context=observation_context(draft),
        procedure_reported=procedure_of(draft),
        imaging_measurements=[_group(finding, draft, identity) for finding in draft.report.findings]
        or [_empty_group(draft, identity)],
        language_of_content_item_and_descendants=LanguageOfContentItemAndDescendants(LANGUAGE),
    )
    items = report[0].ContentSequence
    contained = [item.RelationshipType == RelationshipTypeValues.CONTAINS.value for item in items]
    for comment in reversed([*notice_items(draft), text_item(codes.DCM.Comment, _about_images(draft))]):
        items.insert(contained.index(True), comment)
    for item in reversed([draft_item(), *forced_items(draft)]):
        items.insert(0, item)
    return report


def _about_images(draft: DraftDocument) -> str:
    """Return the last comment: where the findings come from, and what is stated about their place in the images."""
    from_text = draft.report.findings_from_text
    about = _NO_COORDINATES_OF_TEXT if from_text else _NO_COORDINATES
    return " ".join([FINDINGS_FROM_TEXT] * from_text + [about if draft.source.dicom_images else _NO_IMAGE])


def _group(finding: Finding, draft: DraftDocument, identity: ObjectIdentity) -> MeasurementsAndQualitativeEvaluations:
    finding, code = finding.with_stated_location(), finding_code(finding.name)
    probability = (
        []
        if finding.probability is None
        else [Measurement(to_concept(PROBABILITY), round(finding.probability, 4), codes.UCUM.NoUnits)]
    )
    group = MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking(finding_title(finding), identity),
        # TID 1501 encodes Finding (121071, DCM) as an optional CODE. A TEXT of this name in its place is no allowed
        # extension: PS3.16 6.2.5 forbids another encoding of a concept for which the template has one.
        finding_type=None if code is None else to_concept(code),
        algorithm_id=_algorithm(draft, parameters=[FROM_TEXT] if finding.from_text else None),
        finding_sites=_sites(finding),
        measurements=probability,
        qualitative_evaluations=[QualitativeEvaluation(to_concept(PRESENCE), to_concept(STATES[finding.state]))],
        source_images=_source_images(draft),
    )
    if finding.overridden or finding.location_overridden:
        comment = describe_user_settings(state=finding.overridden, location=finding.location_overridden)
        group[0].ContentSequence.append(text_item(codes.DCM.Comment, comment))
    return group


def _empty_group(draft: DraftDocument, identity: ObjectIdentity) -> MeasurementsAndQualitativeEvaluations:
    """Return the group of a model that has no findings, because the template requires one."""
    return MeasurementsAndQualitativeEvaluations(
        tracking_identifier=_tracking("The model reports no findings", identity),
        algorithm_id=_algorithm(draft),
        source_images=_source_images(draft),
    )


def _tracking(name: str, identity: ObjectIdentity) -> TrackingIdentifier:
    return TrackingIdentifier(uid=derived_uid("tracking", identity.document_uid, name), identifier=strip_controls(name))


def _algorithm(draft: DraftDocument, *, parameters: list[str] | None = None) -> AlgorithmIdentification:
    """Return the model (PS3.16 TID 4019). Its version is that of the program and of the weights."""
    provenance = draft.report.provenance
    return AlgorithmIdentification(
        name=strip_controls(provenance.model_name) or "unknown",
        version=f"{strip_controls(provenance.program_version)}, {describe_weights(provenance)}",
        parameters=parameters,
        manufacturer=MANUFACTURER,
    )


def _sites(finding: Finding) -> list[FindingSite]:
    """Return side and zones of a finding.

    A zone is a part of a lung. For a finding of another organ it is the height: a modifier of the site of that organ.
    """
    site, location = finding_site(finding.name), finding.location
    if not location.known or site is None:
        return []
    side = None if location.side is Side.UNKNOWN else to_concept(SIDES[location.side])
    zones = [to_concept(ZONES[zone]) for zone in Zone if zone in location.zones]
    if not zones:
        return [FindingSite(to_concept(site), laterality=side)]
    if site in (LUNG, PLEURA):
        return [FindingSite(zone, laterality=side) for zone in zones]
    return [FindingSite(to_concept(site), laterality=side, topographical_modifier=zone) for zone in zones]


def _source_images(draft: DraftDocument) -> list[SourceImageForMeasurementGroup]:
    return [
        SourceImageForMeasurementGroup(
            str(image.sop_class_uid),
            image.sop_instance_uid,
            referenced_frame_numbers=[1] if image.frames > 1 else None,  # the model gets the first frame
        )
        for image in draft.source.dicom_images
    ]
