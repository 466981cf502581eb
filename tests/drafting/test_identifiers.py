"""Names and numbers of the header are removed from the texts of a prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from report_gen.drafting.identifiers import header_identifiers, without_identifiers
from report_gen.imaging import read_study
from report_gen.prompting import PromptValues
from tests.builders import noise_image, study
from tests.dicom_files import write_dicom


def test_the_header_states_names_and_numbers(tmp_path: Path) -> None:
    path = write_dicom(
        tmp_path / "a.dcm",
        noise_image(),
        PatientName="O'Hara-Small^Ann Mary",
        PatientID="MRN-0042",
        AccessionNumber="A7",
        ReferringPhysicianName="House^Gregory",
    )
    found = header_identifiers(read_study(path))
    assert found == {"o'hara-small", "ann", "mary", "house", "gregory", "mrn-0042"}  # A7 is too short


def test_a_picture_has_no_header(tmp_path: Path) -> None:
    assert header_identifiers(study(tmp_path)) == frozenset()


@pytest.mark.parametrize(
    ("text", "cleaned"),
    [
        ("Fever. Mrs SMALL (MRN-0042), referred by House.", "Fever. Mrs  (), referred by ."),
        ("small effusion in the house of a smallholder", "small effusion in the house of a smallholder"),
        ("Smallpox?", "Smallpox?"),
        ("mrn-0042", ""),
    ],
)
def test_names_are_removed_as_whole_words_with_a_capital_letter(text: str, cleaned: str) -> None:
    values = without_identifiers(PromptValues(indication=text, views="PA"), {"small", "house", "mrn-0042"})
    assert (values.indication, values.views) == (cleaned, "PA")
