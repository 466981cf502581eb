"""Attribute values of tables, headers and texts, against sentences that were read by hand."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen.corpora import read_corpus
from report_gen.labeling import (
    contradicted_attributes,
    header_values,
    mismatched_attributes,
    named_values,
    value_of_term,
)
from report_gen.records import ATTRIBUTES, AttributeName, Series, Study


@pytest.mark.parametrize(
    ("name", "term", "value"),
    [
        ("modality", "CT", "CT"),
        ("modality", " mri ", "MR"),
        ("modality", "CR", "DX"),
        ("modality", "OPT", "OPT"),
        ("plane", "Transverse", "axial"),
        ("plane", "3D  Reconstruction", "3D Reconstruction"),
        ("body_part", "CHEST", "chest"),
        ("body_part", "TIBIA_FIBULA", "musculoskeletal"),
        ("body_part", "Reproductive and Urinary System", "urogenital"),
        ("body_part", "Musculoskeletal", "musculoskeletal"),
        ("body_part", "PELVIS", "PELVIS"),  # bones, bladder or bowel
        ("body_part", "", ""),
    ],
)
def test_terms(name: AttributeName, term: str, value: str) -> None:
    assert value_of_term(name, term) == value
    assert value_of_term(name, value) == value


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("modality", "Axial CT of the abdomen.", ("CT",)),
        ("modality", "T2-weighted image, FLAIR; earlier a CT-scan.", ("MR", "CT")),
        ("modality", "Mr. T1 vertebra and the T2 level.", ("MR",)),  # the abbreviation of a man cannot be distinguished
        ("modality", "The T1 vertebra is collapsed.", ()),
        ("modality", "Contrast in the duct.", ()),
        ("modality", "A plain film and ultrasound.", ("DX", "US")),
        ("plane", "AXIAL and coronal reformats, axial again.", ("axial", "coronal")),
        ("plane", "Thrombus of the superior sagittal sinus.", ()),
        ("plane", "The transverse process; a transverse image.", ("axial",)),
        ("plane", "A coronal image of an extra-axial mass; no intra-axial mass.", ("coronal",)),
        ("plane", "An extraaxial mass.", ()),
        ("plane", "Midsagittal T1.", ("sagittal",)),
        ("body_part", "A mass of the left kidney beside the liver.", ("urogenital", "abdomen")),
        ("body_part", "Dissection of the vertebral artery.", ()),
        ("body_part", "Discrete lesion.", ()),
        ("body_part", "Herniated disc at L4.", ("musculoskeletal",)),
        ("body_part", "Calcification of the optic disc.", ("head",)),
        ("body_part", "Atrophy of the hippocampus.", ("head",)),
        ("body_part", "Fracture of the hip.", ("musculoskeletal",)),
        ("body_part", "Thrombosis of the sigmoid sinus.", ("head",)),
        ("body_part", "Diverticula of the sigmoid colon.", ("abdomen",)),
        ("body_part", "The chesty patient.", ()),
        ("body_part", "", ()),
    ],
)
def test_named_values(name: AttributeName, text: str, values: tuple[str, ...]) -> None:
    assert named_values(name, text) == values


def test_a_text_mismatches_an_attribute_if_it_names_another_value_first() -> None:
    values: dict[AttributeName, str] = {"modality": "CT", "plane": "axial", "body_part": "chest"}
    assert mismatched_attributes("Axial CT of the lungs.", values) == ()
    assert mismatched_attributes("Sagittal MRI of the lungs.", values) == ("modality", "plane")
    assert mismatched_attributes("CT, compared with MRI.", values) == ()
    assert mismatched_attributes("A lesion.", values) == ()
    assert mismatched_attributes("Sagittal MRI.", {"modality": "", "plane": ""}) == ()
    assert mismatched_attributes("Axial CT of a small bowel in the chest.", values) == ("body_part",)
    assert mismatched_attributes("Axial CT of the chest with a lesion of the liver.", values) == ()


def test_a_text_contradicts_an_attribute_also_if_it_names_the_value_as_well() -> None:
    values: dict[AttributeName, str] = {"modality": "MR", "plane": "sagittal", "body_part": "head"}
    assert contradicted_attributes("Sagittal MRI of the frontal lobe.", values) == ()
    assert contradicted_attributes("A lesion of the frontal lobe and a cyst of the kidney.", values) == ("body_part",)
    assert contradicted_attributes("Axial T1-weighted CT of the brain.", values) == ("modality", "plane")
    assert contradicted_attributes("The cervical vertebrae are aligned.", values) == ()
    assert contradicted_attributes("Axial CT of the kidney.", {"modality": "", "plane": ""}) == ()


def test_kidneys_do_not_contradict_the_abdomen() -> None:
    text = "The left kidney is normal. The liver is normal."
    assert contradicted_attributes(text, {"body_part": "abdomen"}) == ()
    assert contradicted_attributes(text, {"body_part": "urogenital"}) == ()
    assert contradicted_attributes(text, {"body_part": "chest"}) == ("body_part",)
    assert contradicted_attributes("The lungs are clear.", {"body_part": "abdomen"}) == ("body_part",)


def imaged(*series: tuple[str | None, str | None]) -> Study:
    return Study(name="s", series=tuple(Series(images=(), modality=one, body_part=other) for one, other in series))


def test_header_values_are_those_that_all_series_share() -> None:
    assert header_values(imaged(("CT", "CHEST"))) == {"modality": "CT", "body_part": "chest"}
    assert header_values(imaged(("MR", "BRAIN"), ("MR", "SKULL"))) == {"modality": "MR", "body_part": "head"}
    assert header_values(imaged(("CT", "CHEST"), ("MR", "CHEST"))) == {"body_part": "chest"}
    assert header_values(imaged(("CT", "CHEST"), ("CT", None))) == {"modality": "CT"}
    assert header_values(imaged((None, None))) == {}
    assert header_values(imaged()) == {}


@pytest.mark.realdata
def test_captions_of_medpix_name_the_values_of_its_table(shared: Path) -> None:
    """If a training caption names any value, the value of the table is among the named ones in nearly all cases."""
    rows = [row for row in read_corpus(shared / "data" / "medpix2", layout="medpix") if row["split"] == "train"]
    for name, share in zip(ATTRIBUTES, (0.98, 0.9, 0.88), strict=True):
        named = {(row["findings"], row[name]): named_values(name, row["findings"]) for row in rows if row[name]}
        agrees = [value in values for (_, value), values in named.items() if values]
        assert len(agrees) > 400
        assert sum(agrees) / len(agrees) > share, name
