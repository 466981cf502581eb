"""Agreement of the findings that are read from reports with the codes of human coders for the same reports.

The 3,955 reports of the Indiana University collection carry MeSH codes set by hand (Demner-Fushman et al., JAMIA 2016,
doi:10.1093/jamia/ocv080). `pytest tests/labeling/test_labeler_against_mesh.py -s` prints the table.

The phrases and the mapping below were developed with these reports, so the figures do not predict the agreement for
reports of another hospital.
"""

from __future__ import annotations

import re
import sys
import tarfile
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import pytest

from report_gen.labeling import chest_xray, label_findings
from report_gen.records import FindingState

FINDINGS = chest_xray().findings

LEAST_SUPPORT = 30

# Codes have the form `Heading/qualifier/qualifier`. Reasons for choices that are not obvious:
# - `Opacity` and `Density` mean lung unless bone, breast, fat, valve or pleura is named; with `round` they mean a
#   nodular opacity, which is an opacity and a lesion.
# - `Markings/bronchovascular` codes the crowding of a shallow breath, not an opacity.
# - `Deformity` of a bone codes compression deformities and old rib fractures, `blunted` a costophrenic angle that a
#   report may call fluid; for the labeler both are uncertain.
# - Granuloma, Calcinosis and Cicatrix/lung belong to no finding.
# - Overinflation (`Lung/hyperdistention`, `Lung, Hyperlucent`) and `Pulmonary Disease, Chronic Obstructive` have codes
#   of their own beside emphysema's, and so have scars (`Cicatrix`) and `Cystic Fibrosis` beside fibrosis's. Air in soft
#   tissue (`Subcutaneous Emphysema`, `Mediastinal Emphysema`) is none of the lung.
CODES: dict[str, str] = {
    "Enlarged Cardiomediastinum": r"Mediastinum/(?!lymph|blood)(.*/)?(prominent|enlarged)|Mass/mediastinum",
    "Cardiomegaly": r"Cardiomegaly"
    r"|(Cardiac Shadow|Heart|Heart Atria|Heart Ventricles)/(.*/)?(enlarged|borderline|prominent)",
    "Lung Opacity": r"(Opacity|Density)(?!/(.*/)?(ribs|spine|thoracic vertebrae|adipose tissue|breast|clavicle|sternum"
    r"|mitral valve|pleura|costophrenic angle|aorta|mediastinum|heart)\b)|Airspace Disease|Infiltrate"
    r"|Markings/(?!.*bronchovascular)|Lung Diseases, Interstitial|Lung/.*interstitial|Thickening/(lung|bronch)",
    "Lung Lesion": r"(Nodule|Mass)(?!/(breast|heart|mediastinum|pleura)\b)|(Opacity|Density)/(.*/)?round"
    r"|Cavitation|Cysts/lung",
    "Edema": r"Pulmonary Edema|Pulmonary Congestion|Heart Failure",
    "Consolidation": r"Consolidation",
    "Pneumonia": r"Pneumonia",
    "Atelectasis": r"Pulmonary Atelectasis|Volume Loss",
    "Pneumothorax": r"Pneumothorax|Hydropneumothorax|Hemopneumothorax",
    "Pleural Effusion": r"Pleural Effusion|Hydropneumothorax|Hemopneumothorax|Hemothorax"
    r"|(Costophrenic Angle|Sulcus|Pleura)/.*blunted",
    "Pleural Other": r"(Thickening|Cicatrix|Calcinosis|Nodule|Mass|Deformity|Opacity|Density)/(.*/)?pleura\b",
    "Fracture": r"Fractures, Bone|Deformity/.*(vertebrae|ribs|clavicle|sternum|humerus|spine)",
    "Support Devices": r"Catheters, Indwelling|Implanted Medical Device|Medical Device|Surgical Instruments|Stents"
    r"|Tube, Inserted|Sutures|Spinal Fusion|Breast Implants",
    "Emphysema": r"(Pulmonary |Bullous )?Emphysema",
    "Fibrosis": r"(Pulmonary )?Fibrosis",
    "Hernia": r"Hernia, (Hiatal|Diaphragmatic)",
}
NORMAL = re.compile(r"normal|Technical Quality|" + CODES["Support Devices"])
"""A report without other codes has no finding."""

DEFINITE_ONLY = {"No Finding", "Pneumonia"}
"""Coded only if certain: "may be pneumonia" is coded as Opacity. Other findings are coded if uncertain as well."""


@dataclass(frozen=True)
class Agreement:
    """Counts of one finding over the reports."""

    both: int
    labeled_only: int
    coded_only: int

    @property
    def precision(self) -> float:
        return self.both / max(1, self.both + self.labeled_only)

    @property
    def recall(self) -> float:
        return self.both / max(1, self.both + self.coded_only)

    @property
    def f1(self) -> float:
        return 2 * self.both / max(1, 2 * self.both + self.labeled_only + self.coded_only)

    @property
    def support(self) -> int:
        return self.both + self.coded_only


@pytest.mark.realdata
def test_agreement_with_coders(shared: Path) -> None:
    reports = read_reports(shared / "data" / "iu_xray" / "NLMCXR_reports.tgz")
    labels = [label_findings(text) for text, _ in reports]
    table: dict[str, Agreement] = {}
    unhedged: dict[str, Agreement] = {}
    for name in FINDINGS:
        pairs = [(label[name], is_coded(name, codes)) for label, (_, codes) in zip(labels, reports, strict=True)]
        table[name] = count(pairs, uncertain=name not in DEFINITE_ONLY)
        unhedged[name] = count([pair for pair in pairs if pair[0] is not FindingState.UNCERTAIN], uncertain=False)
    sys.stdout.write(format_table(table, unhedged, len(reports)))
    supported = [agreement for agreement in table.values() if agreement.support >= LEAST_SUPPORT]
    assert len(reports) > 3800
    assert micro_f1(supported) > 0.92
    assert macro_f1(supported) > 0.87
    assert min(agreement.f1 for agreement in supported) > 0.68


def read_reports(archive: Path) -> list[tuple[str, list[str]]]:
    """Return text and codes of each report that has both."""
    reports = []
    with tarfile.open(archive) as files:
        for member in files:
            file = files.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            root = ElementTree.fromstring(file.read())  # noqa: S314 - a local file of the collection
            sections = {part.get("Label"): (part.text or "").strip() for part in root.iter("AbstractText")}
            codes = [(code.text or "").strip() for code in root.iter("major")]
            if "No Indexing" not in codes and (sections["FINDINGS"] or sections["IMPRESSION"]):
                reports.append((f"FINDINGS: {sections['FINDINGS']}\n\nIMPRESSION: {sections['IMPRESSION']}", codes))
    return reports


def is_coded(name: str, codes: list[str]) -> bool:
    if name == "No Finding":
        return all(NORMAL.match(code) for code in codes)
    return any(re.match(CODES[name], code) for code in codes)


def count(pairs: list[tuple[FindingState, bool]], *, uncertain: bool) -> Agreement:
    """Count how often text and code agree. `uncertain` decides whether an uncertain state counts as labeled."""
    labeled = {FindingState.PRESENT, FindingState.UNCERTAIN} if uncertain else {FindingState.PRESENT}
    outcomes = Counter((state in labeled, coded) for state, coded in pairs)
    return Agreement(outcomes[True, True], outcomes[True, False], outcomes[False, True])


def micro_f1(agreements: list[Agreement]) -> float:
    return Agreement(
        sum(one.both for one in agreements),
        sum(one.labeled_only for one in agreements),
        sum(one.coded_only for one in agreements),
    ).f1


def macro_f1(agreements: list[Agreement]) -> float:
    return sum(one.f1 for one in agreements) / len(agreements)


def format_table(table: dict[str, Agreement], unhedged: dict[str, Agreement], reports: int) -> str:
    lines = ["", f"{reports} reports", f"{'':28}precision recall     F1 support   unhedged: F1 support"]
    for name, one in table.items():
        other = unhedged[name]
        lines.append(
            f"{name:28}{one.precision:9.3f}{one.recall:7.3f}{one.f1:7.3f}{one.support:8}{other.f1:14.3f}{other.support:8}"
        )
    for title, column in (("all", table), ("unhedged", unhedged)):
        supported = [one for one in column.values() if one.support >= LEAST_SUPPORT]
        lines.append(
            f"{title}: micro F1 {micro_f1(supported):.3f}, macro F1 {macro_f1(supported):.3f}"
            f" over {len(supported)} findings of support >= {LEAST_SUPPORT}"
        )
    return "\n".join([*lines, ""])
