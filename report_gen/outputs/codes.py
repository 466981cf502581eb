"""Codes of report titles, sections, states, sides, zones and findings: the only table of codes of the output formats.

A code is in the table only if a source outside of report-gen gives the code and its meaning together. The comment at a
code names the source:

- pydicom: the dictionaries of PS3.16 in `pydicom.sr` (pydicom 3.0); CID is the context group.
- RadLex 4.3: RadLex terms in the road map of the ACR/RSNA Open Imaging Data project (openimagingdata/CDEStaging,
  definitions/upmedic/roadmap.md), or with an exact match in a reviewed mapping of the CheXpert labels to RadLex 4.3.
- OHDSI: SNOMED CT concepts of the OHDSI vocabulary by which studies of Stanford's INSPECT are labeled
  (arXiv:2411.09361).
- HL7: SNOMED CT concepts in value sets and concept maps of HL7 FHIR implementation guides; "MedDRA ... is equivalent"
  is the map from MedDRA to SNOMED CT in such a guide.
- Playbook: codes of the LOINC/RSNA Radiology Playbook as the documentation of Azure AI Health Insights lists them
  (MicrosoftDocs, Radiology Insights, RadiologyProcedureInference, appendix A).

A finding without a code is written by its name, in the place that a format has for texts. The table does not use
SNOMED CT 287272002 for cardiomegaly, although pydicom has it under this name (CID 12248): the concept is the enlarged
septal foramen of the heart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from report_gen.records import FindingState, SectionName, Side, Zone


@dataclass(frozen=True)
class Code:
    """A code of a terminology."""

    value: str
    scheme: str
    """Coding Scheme Designator of DICOM (PS3.16 section 8): SCT, DCM, LN, RADLEX."""
    meaning: str


REPORT = Code("18748-4", "LN", "Diagnostic imaging report")  # pydicom, CID 7000
PROBABILITY = Code("122157", "DCM", "Probability")  # pydicom
PRESENCE = Code("121052", "DCM", "Presence of property")  # pydicom

SECTIONS: Mapping[SectionName, Code] = {
    SectionName.INDICATION: Code("18785-6", "LN", "Indications for Procedure"),  # pydicom, CID 7001
    SectionName.TECHNIQUE: Code("55111-9", "LN", "Current Procedure Descriptions"),  # pydicom, CID 7001
    # LOINC calls the code "Radiology Comparison study (observation)".
    SectionName.COMPARISON: Code("18834-2", "LN", "Previous Findings"),  # pydicom, CID 7001
    SectionName.FINDINGS: Code("59776-5", "LN", "Findings"),  # pydicom, CID 7001
    SectionName.IMPRESSION: Code("19005-8", "LN", "Impressions"),  # pydicom, CID 7001
}
"""Headings of the sections."""

SENTENCES: Mapping[SectionName, Code] = {
    SectionName.INDICATION: Code("55115-0", "LN", "Request"),  # pydicom, CID 7002, which has no element for indications
    SectionName.TECHNIQUE: Code("121065", "DCM", "Procedure Description"),  # pydicom, CID 7002
    SectionName.COMPARISON: Code("121069", "DCM", "Previous Finding"),  # pydicom, CID 7002
    SectionName.FINDINGS: Code("121071", "DCM", "Finding"),  # pydicom, CID 7002
    SectionName.IMPRESSION: Code("121073", "DCM", "Impression"),  # pydicom, CID 7002
}
"""Elements of the sections."""

STATES: Mapping[FindingState, Code] = {
    FindingState.PRESENT: Code("52101004", "SCT", "Present"),  # pydicom, CID 240
    FindingState.ABSENT: Code("272519000", "SCT", "Absent"),  # pydicom, CID 240; 2667000 is retired
    FindingState.UNCERTAIN: Code("64957009", "SCT", "Uncertain"),  # pydicom, SNOMED CT subset of DICOM
    FindingState.UNKNOWN: Code("373068000", "SCT", "Undetermined"),  # pydicom, CID 240
}
"""States of a finding. UNCERTAIN is a hedged statement, UNKNOWN the absence of any."""

SIDES: Mapping[Side, Code] = {
    Side.RIGHT: Code("24028007", "SCT", "Right"),  # pydicom, CID 244
    Side.LEFT: Code("7771000", "SCT", "Left"),  # pydicom, CID 244
    Side.BOTH: Code("51440002", "SCT", "Bilateral"),  # pydicom, CID 244
    Side.MIDLINE: Code("130290", "DCM", "Median"),  # pydicom, CID 245
}

ZONES: Mapping[Zone, Code] = {
    Zone.UPPER: Code("281392002", "SCT", "Upper zone of lung"),  # pydicom, CID 6171
    Zone.MID: Code("281393007", "SCT", "Middle zone of lung"),  # pydicom, CID 6171
    Zone.LOWER: Code("281394001", "SCT", "Lower zone of lung"),  # pydicom, CID 6171
}

LUNG = Code("39607008", "SCT", "Lung")  # pydicom, CID 6100
PLEURA = Code("3120008", "SCT", "Pleura")  # pydicom, CID 7151
HEART = Code("80891009", "SCT", "Heart")  # pydicom, CID 6100
MEDIASTINUM = Code("72410000", "SCT", "Mediastinum")  # pydicom, CID 6100
THORAX = Code("816094009", "SCT", "Thorax")  # pydicom, CID 4

PROCEDURES: Mapping[str, Code] = {
    **dict.fromkeys(("CR", "DX", "RG"), Code("43468-8", "LN", "XR unspecified body region")),  # pydicom, CID 100
    "CT": Code("25045-6", "LN", "CT unspecified body region"),  # pydicom, CID 100
    "MR": Code("25056-3", "LN", "MRI unspecified body region"),  # pydicom, CID 100
}
"""Imaging procedures by Modality (0008,0060), for a header that does not state the procedure."""
CHEST_RADIOGRAPHY = Code("30745-4", "LN", "XR Chest Views")  # Playbook
"""Imaging procedure of chest radiographs. The codes for one view (36554-4) and for two (36643-5) are not used: the
procedure may have more images than the program got."""
IMAGING_PROCEDURE = Code("363679005", "SCT", "Imaging procedure")  # pydicom, CID 100

_FINDINGS: Mapping[str, Code] = {
    "Cardiomegaly": Code("8186001", "SCT", "Cardiomegaly"),  # OHDSI; index code of openimagingdata/findingmodel
    "Lung Opacity": Code("112001", "DCM", "Opacity"),  # pydicom, CID 6104
    "Edema": Code("19242006", "SCT", "Pulmonary edema"),  # pydicom, CID 3700
    "Consolidation": Code("95436008", "SCT", "Lung consolidation"),  # OHDSI
    "Pneumonia": Code("233604007", "SCT", "Pneumonia"),  # HL7 (the problem of the C-CDA example)
    "Atelectasis": Code("46621007", "SCT", "Atelectasis"),  # OHDSI; HL7 (MedDRA 10003598 is equivalent)
    "Pneumothorax": Code("36118008", "SCT", "Pneumothorax"),  # pydicom, CID 6105
    "Pleural Effusion": Code("60046008", "SCT", "Pleural effusion"),  # pydicom, CID 645
    "Fracture": Code("RID4650", "RADLEX", "fracture"),  # RadLex 4.3, exact match of the CheXpert label
    "Emphysema": Code("87433001", "SCT", "Pulmonary emphysema"),  # HL7 Lithuania, lung cancer guide
    "Fibrosis": Code("51615001", "SCT", "Pulmonary fibrosis"),  # HL7 (MedDRA 10037383 is equivalent)
}
"""Codes of the findings of the schema `chest_xray`.

These have none: No Finding, because "No abnormality" of PS3.16 (111286, CID 6030) is a result of the pathology of the
breast, and a study without findings may show support devices and so be no normal result; Enlarged Cardiomediastinum and
Pleural Other, for which neither terminology has a concept; Lung Lesion, which is a nodule or a mass; Support Devices;
and Hernia, which is hiatal or diaphragmatic.
"""

_SITES: Mapping[str, Code] = {
    "Enlarged Cardiomediastinum": MEDIASTINUM,
    "Cardiomegaly": HEART,
    "Pneumothorax": PLEURA,
    "Pleural Effusion": PLEURA,
    "Pleural Other": PLEURA,
    "Fracture": THORAX,
    "Support Devices": THORAX,
    "Hernia": THORAX,
    **dict.fromkeys(("Lung Opacity", "Lung Lesion", "Edema", "Consolidation", "Pneumonia"), LUNG),
    **dict.fromkeys(("Atelectasis", "Emphysema", "Fibrosis"), LUNG),
}


def finding_code(name: str) -> Code | None:
    """Return the code of a finding of the schema `chest_xray`; None if the table has none."""
    return _FINDINGS.get(name)


def finding_site(name: str) -> Code | None:
    """Return the organ or region that a finding of the schema `chest_xray` belongs to; None for other findings."""
    return _SITES.get(name)
