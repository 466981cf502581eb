"""Read public collections of chest reports that other people or programs have coded, to compare the labeler with them.

Collections, and where they come from:

* Indiana University reports with MeSH codes set by hand (Demner-Fushman et al., JAMIA 2016, doi:10.1093/jamia/ocv080);
* NegBio's coding of the same reports (ncbi-nlp/NegBio, `examples/openi_gld_std14.csv`; Peng et al., AMIA 2018,
  arXiv:1712.05898);
* Rad-ReStruct's structured form of the same reports (ChantalMP/Rad-ReStruct, `data/radrestruct/new_reports`;
  Pellegrini et al., MICCAI 2023, arXiv:2307.05766);
* the 1,000 sample reports in the wheel of `radlabels` 0.2.0, labeled by RadGraph-XL and a list of phrases.
"""

from __future__ import annotations

import csv
import json
import re
import tarfile
import xml.etree.ElementTree as ElementTree
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from report_gen.labeling import chest_xray
from report_gen.records import FindingLocation, Side, Zone, join_sides


@dataclass(frozen=True, kw_only=True)
class CodedReport:
    """A report, and whether a collection codes each finding as present in it."""

    text: str
    coded: Mapping[str, bool]
    """Findings of the schema; a finding that the collection does not decide is missing."""
    located: Mapping[str, FindingLocation] = field(default_factory=dict)
    """Location of each coded finding, for a collection that codes locations."""


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
_CODES: Mapping[str, str] = {
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
_NORMAL = re.compile(r"normal|Technical Quality|" + _CODES["Support Devices"])
"""A report without other codes has no finding."""


def read_mesh(archive: Path) -> list[CodedReport]:
    """Return the Indiana University reports that have a text and MeSH codes."""
    return [
        CodedReport(text=text, coded=_from_mesh(codes), located=_locations(codes))
        for text, codes in _indiana_reports(archive).values()
        if "No Indexing" not in codes
    ]


def read_negbio(archive: Path, table: Path) -> list[CodedReport]:
    """Return the Indiana University reports with NegBio's labels of ChestX-ray14.

    `Infiltration` is left out: opacities by another name are not coded with it. So is `Hernia`, which no report has.

    Args:
        archive: The Indiana University reports, `NLMCXR_reports.tgz`.
        table: NegBio's table `openi_gld_std14.csv`.
    """
    reports = _indiana_reports(archive)
    names = {
        label: finding
        for label, finding in chest_xray().mappings["nih"].items()
        if label not in ("Infiltration", "Hernia")
    }
    with table.open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["filename"].removeprefix("CXR") in reports]
    return [
        CodedReport(text=reports[row["filename"].removeprefix("CXR")][0], coded=_joined(names, row, "1"))
        for row in rows
    ]


def read_rad_restruct(archive: Path, folder: Path) -> list[CodedReport]:
    """Return the Indiana University reports with the findings of Rad-ReStruct.

    Args:
        archive: The Indiana University reports, `NLMCXR_reports.tgz`.
        folder: Rad-ReStruct's folder `new_reports`, with one JSON file per report.
    """
    reports = _indiana_reports(archive)
    files = {file.stem: file for file in sorted(folder.glob("*.json")) if file.stem in reports}
    coded_reports = []
    for name, file in files.items():
        areas = json.loads(file.read_bytes())
        codes = [code for area in areas for code in _restruct_codes(area, (area["area"],))]
        coded_reports.append(CodedReport(text=reports[name][0], coded=_from_mesh(codes)))
    return coded_reports


_RADLABELS: Mapping[str, str] = {
    "enlarged_cardiomediastinum": "Enlarged Cardiomediastinum",
    "cardiomegaly": "Cardiomegaly",
    **dict.fromkeys(
        ("lung_opacity", "ground_glass_opacity", "infiltration", "interstitial_thickening"), "Lung Opacity"
    ),
    **dict.fromkeys(("lung_nodule_or_mass", "lung_lesion"), "Lung Lesion"),
    "pulmonary_edema": "Edema",
    "consolidation": "Consolidation",
    "pneumonia": "Pneumonia",
    **dict.fromkeys(("atelectasis", "lobar_segmental_collapse", "whole_lung_or_majority_collapse"), "Atelectasis"),
    "pneumothorax": "Pneumothorax",
    "pleural_effusion": "Pleural Effusion",
    **dict.fromkeys(("pleural_thickening", "pleural_other"), "Pleural Other"),
    **dict.fromkeys(("acute_rib_fracture", "non_acute_rib_fracture", "fracture_generic"), "Fracture"),
    **dict.fromkeys(("central_venous_catheter", "endotracheal_tube", "enteric_tube"), "Support Devices"),
    **dict.fromkeys(("implantable_electronic_device", "intercostal_drain", "tracheostomy_tube"), "Support Devices"),
    **dict.fromkeys(("pacemaker_electronic_cardiac_device_or_wires", "support_devices_generic"), "Support Devices"),
    "emphysema": "Emphysema",
    "pulmonary_fibrosis": "Fibrosis",
    **dict.fromkeys(("hiatus_hernia", "other_hernia"), "Hernia"),
}
"""Finding of each label of radlabels. Congestion and `air_space_opacity`, which joins three findings, are left out."""


def read_radlabels(wheel: Path) -> list[CodedReport]:
    """Return the 1,000 sample reports of the wheel `radlabels-0.2.0-py3-none-any.whl`."""
    samples = "radlabels/samples"
    with zipfile.ZipFile(wheel) as files:
        labels = json.loads(files.read(f"{samples}/synthetic_labels.json"))
        return [
            CodedReport(
                text=files.read(f"{samples}/synthetic_reports/{name}.txt").decode("utf-8"),
                coded=_joined(_RADLABELS, states, "definitely present"),
            )
            for name, states in labels.items()
        ]


def _joined(names: Mapping[str, str], states: Mapping[str, str], positive: str) -> dict[str, bool]:
    """Return for each finding whether a label that means it is present. An uncertain label decides nothing."""
    coded = dict.fromkeys(names.values(), False)
    for label, finding in names.items():
        coded[finding] |= states.get(label) == positive
    undecided = {finding for label, finding in names.items() if states.get(label) == "uncertain" and not coded[finding]}
    return {finding: present for finding, present in coded.items() if finding not in undecided}


def _from_mesh(codes: list[str]) -> dict[str, bool]:
    coded = {name: any(re.match(pattern, code) for code in codes) for name, pattern in _CODES.items()}
    return {chest_xray().normal: all(_NORMAL.match(code) for code in codes), **coded}


_SIDES: Mapping[str, Side] = {"right": Side.RIGHT, "left": Side.LEFT, "bilateral": Side.BOTH}
_ZONES: Mapping[str, frozenset[Zone]] = {
    **dict.fromkeys(("upper lobe", "apex"), frozenset({Zone.UPPER})),
    **dict.fromkeys(("middle lobe", "lingula", "hilum"), frozenset({Zone.MID})),
    **dict.fromkeys(("base", "lower lobe", "costophrenic angle", "sulcus", "retrocardiac"), frozenset({Zone.LOWER})),
    "diffuse": frozenset(Zone),
}
"""Side and zones of each qualifier of a MeSH code; others, such as "lung", tell no location.

The coders give "left midlung" the qualifier of the lingula.
"""
_USUAL_SIDES: Mapping[str, Side] = {"middle lobe": Side.RIGHT, "lingula": Side.LEFT, "retrocardiac": Side.LEFT}
"""Side of a code without a side."""


def _locations(codes: Iterable[str]) -> dict[str, FindingLocation]:
    """Return the location that MeSH codes give to each finding, with unknown parts."""
    located: dict[str, FindingLocation] = {}
    for code in codes:
        qualifiers = code.lower().split("/")
        table = _SIDES if not _SIDES.keys().isdisjoint(qualifiers) else _USUAL_SIDES
        sides = (table[qualifier] for qualifier in qualifiers if qualifier in table)
        zones = (zone for qualifier in qualifiers for zone in _ZONES.get(qualifier, ()))
        location = FindingLocation(join_sides(*sides), frozenset(zones))
        for name, pattern in _CODES.items():
            if re.match(pattern, code):
                located[name] = located.get(name, FindingLocation()).join(location)
    return located


def _indiana_reports(archive: Path) -> dict[str, tuple[str, list[str]]]:
    """Return text and MeSH codes of each report with a text, by its number."""
    reports = {}
    with tarfile.open(archive) as files:
        for member in files:
            file = files.extractfile(member) if member.name.endswith(".xml") else None
            if file is None:
                continue
            root = ElementTree.fromstring(file.read())  # noqa: S314 - a local file of the collection
            sections = {part.get("Label"): (part.text or "").strip() for part in root.iter("AbstractText")}
            codes = [(code.text or "").strip() for code in root.iter("major")]
            if sections["FINDINGS"] or sections["IMPRESSION"]:
                text = f"FINDINGS: {sections['FINDINGS']}\n\nIMPRESSION: {sections['IMPRESSION']}"
                reports[Path(member.name).stem] = text, codes
    return reports


def _restruct_codes(node: Any, path: tuple[str, ...]) -> Iterator[str]:
    """Yield the instances of a structured report in the form of MeSH codes: `Opacity/lung/lower lobe/round`."""
    if not isinstance(node, dict):
        return
    for instance in node.get("instances", ()):
        name, place = (path[-1], path[-3]) if path[-1] != "infos" else (path[0], path[0])
        words = (word for values in instance.values() for word in values if word not in ("no selection", "unspecified"))
        yield "/".join((name.title(), *((place,) if place != name else ()), *words))
    for key, child in node.items():
        yield from _restruct_codes(child, (*path, key))
